// Ada-KV: SnapKV's scores, with the heads of a layer competing for its entries.
// Feng et al. 2024, arXiv:2407.11550.
//
//   score     as SnapKV
//   share     of a layer: as `base` (snapkv: the same for all; pyramidkv: falling, steeper with `beta`);
//             of a head: what it wins in its layer, blended with an equal share by `alpha`
//   keep      the window, then the best scores

#include <optional>

#include "policies/registry.h"
#include "policies/snapkv.h"

namespace evictbench {
namespace {

class AdaKv final : public SnapKv {
 public:
  explicit AdaKv(const Options& o) : SnapKv(o), alpha_(o.number("alpha", 0.2, 0, 1)) {
    if (o.choice("base", "snapkv", {"snapkv", "pyramidkv"}) == "pyramidkv")
      beta_ = o.number("beta", 20, 1, 1e6);
  }

  bool nested() const override { return false; }  // rounding may move an entry between heads

 protected:
  Shares allocate(const Scores& scores, const Ranking& ranking, const Budget& budget) const override {
    const Shares even = beta_ ? pyramid(ranking, budget, *beta_) : uniform(ranking, budget);
    return adaptive(scores, ranking, even, budget, alpha_);
  }

 private:
  double alpha_;
  std::optional<double> beta_;
};

[[maybe_unused]] const int entry = registered<AdaKv>(
    "adakv", "arXiv:2407.11550", "as snapkv, with the heads of a layer competing for its entries",
    "s as snapkv; lane g: window + (1 - alpha) won[g] + alpha B, won: its part of the best G B entries of "
    "the layer");

}  // namespace
}  // namespace evictbench
