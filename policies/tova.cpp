// TOVA after prefill: keep what the last query looks at, the same tokens in every lane of a layer.
// Oren et al. 2024, arXiv:2401.06104.
//
//   score     attention of the last query, mean of all heads of the layer
//   share     the same for every lane
//   keep      the last token, then the best scores

#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class Tova final : public RankingPolicy {
 public:
  explicit Tova(const Options&) {}

  Needs needs(const KvShape&) const override { return {{kLast}, {}}; }

 protected:
  Scores score(const Observation& seen) const override { return together(seen, observe(seen, kLast)); }
  Protect protect() const override { return {.window = kLast.window}; }

 private:
  static constexpr Stat kLast{Stat::kWindowAttention, 1};
};

[[maybe_unused]] const int entry = registered<Tova>(
    "tova", "arXiv:2401.06104", "what the last query looks at, the same tokens for all heads of a layer",
    "s[t] = mean over all heads h of the layer of A[h,T-1,t]");

}  // namespace
}  // namespace evictbench
