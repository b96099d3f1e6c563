// H2O after prefill: keep the heavy hitters, the tokens that all queries together looked at most, and the recent ones.
// Zhang et al. 2023, arXiv:2306.14048.
//
//   score     attention of every query of the prompt, summed, mean of the group: early tokens are seen by more queries
//   share     the same for every lane
//   keep      the last `window` tokens, then the best scores

#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class H2o final : public RankingPolicy {
 public:
  explicit H2o(const Options& o) : window_(o.integer("window", 8, 1, 65536, "tokens")) {}

  Needs needs(const KvShape&) const override { return {{kMass}, {}}; }

 protected:
  Scores score(const Observation& seen) const override { return group(observe(seen, kMass)); }
  Protect protect() const override { return {.window = window_}; }

 private:
  static constexpr Stat kMass{Stat::kColumnSums};
  int window_;
};

[[maybe_unused]] const int entry = registered<H2o>(
    "h2o", "arXiv:2306.14048", "what all queries together looked at most, and the recent tokens",
    "s[g,t] = mean over heads h of g of sum over all rows r of A[h,r,t]");

}  // namespace
}  // namespace evictbench
