// Key norm: keep the keys with the smallest norm.
// Devoto et al. 2024, arXiv:2406.11430.
//
//   score     minus |k|
//   share     the same for every lane
//   keep      the best scores; nothing is protected

#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class KeyNorm final : public RankingPolicy {
 public:
  explicit KeyNorm(const Options&) {}

  Needs needs(const KvShape&) const override { return {{kNorm}, {}}; }

 protected:
  Scores score(const Observation& seen) const override { return negate(observe(seen, kNorm)); }

 private:
  static constexpr Stat kNorm{Stat::kKeyNorm};
};

[[maybe_unused]] const int entry =
    registered<KeyNorm>("knorm", "arXiv:2406.11430", "the keys with the smallest norm", "s[g,t] = -|k[g,t]|");

}  // namespace
}  // namespace evictbench
