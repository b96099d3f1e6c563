// AdaKV in kvpress: `alpha` is a floor.
// Feng et al. 2024, arXiv:2407.11550; NVIDIA/kvpress 0.5.5.
//
//   score     as snapkv@kvpress
//   share     of a head: `alpha` of the budget, window included, is safe; the rest of the layer goes to its best
//             scores, whatever the head
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class AdaKvOfKvpress final : public KvpressSnapKv {
 public:
  explicit AdaKvOfKvpress(const Options& o) : KvpressSnapKv(o), alpha_(o.number("alpha", 0.2, 0, 1)) {}

  bool nested() const override { return false; }  // a larger budget makes more of a head safe

 protected:
  Shares allocate(const Scores& scores, const Ranking& ranking, const Budget& budget) const override {
    return safeguarded(scores, ranking, budget, alpha_);
  }

 private:
  double alpha_;
};

[[maybe_unused]] const int entry =
    registered<AdaKvOfKvpress>("adakv@kvpress", "arXiv:2407.11550", "as adakv, with alpha as a floor",
                               "s as snapkv@kvpress; lane g: max(window, floor(alpha C)) + won[g], won: its "
                               "part of the best entries of the layer that are left");

}  // namespace
}  // namespace evictbench
