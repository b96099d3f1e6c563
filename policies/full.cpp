// Full: keep everything, whatever the budget. What every other policy is measured against.

#include <numeric>

#include "policies/policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class Full final : public Policy {
 public:
  explicit Full(const Options&) {}

  Needs needs(const KvShape&) const override { return {}; }
  bool nested() const override { return true; }
  bool evicts() const override { return false; }
  std::vector<Kept> select(const Observation& seen, std::span<const Budget> budgets) const override {
    const KvShape& s = seen.shape();
    Selection all(s.layers, s.kv_heads);
    std::vector<std::int32_t> slots(static_cast<std::size_t>(s.tokens));
    std::iota(slots.begin(), slots.end(), 0);
    for (const std::int32_t length : seen.lengths(s.kv_heads))
      all.push_lane(std::span(slots).first(static_cast<std::size_t>(length)));
    return std::vector<Kept>(budgets.size(), Kept{all, {}, {}});
  }
};

[[maybe_unused]] const int entry =
    registered<Full>("full", "none", "everything, whatever the budget", "every t");

}  // namespace
}  // namespace evictbench
