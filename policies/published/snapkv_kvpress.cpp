// SnapKV in kvpress: a longer window, mean pooling.
// Li et al. 2024, arXiv:2404.14469; NVIDIA/kvpress 0.5.5.
//
//   score     attention from the window, pooled (`pool`) over `kernel` tokens, then the mean of the group
//   share     whole entries, the same for every lane, at least one
//   keep      the window, then the best scores

#include <algorithm>

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class SnapKvOfKvpress final : public KvpressSnapKv {
 public:
  explicit SnapKvOfKvpress(const Options& o) : KvpressSnapKv(o) {}

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return uniform(ranking, {std::max(1.0, budget.entries), budget.rule});
  }
};

[[maybe_unused]] const int entry = registered<SnapKvOfKvpress>(
    "snapkv@kvpress", "arXiv:2404.14469", "as snapkv, with a window of 64 and mean pooling",
    "s[g,t] = mean over heads h of g of pool(sum over window rows r of A[h,r,t]); lane: max(1, floor(C))");

}  // namespace
}  // namespace evictbench
