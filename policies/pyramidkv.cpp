// PyramidKV: SnapKV's scores, with more entries for the lower layers.
// Cai et al. 2024, arXiv:2406.02069.
//
//   score     as SnapKV
//   share     falls in a line from the lowest layer to the highest, steeper with `beta`
//   keep      the window, then the best scores

#include "policies/registry.h"
#include "policies/snapkv.h"

namespace evictbench {
namespace {

class PyramidKv final : public SnapKv {
 public:
  explicit PyramidKv(const Options& o) : SnapKv(o), beta_(o.number("beta", 20, 1, 1e6)) {}

  bool nested() const override { return false; }  // a larger budget flattens the pyramid

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return pyramid(ranking, budget, beta_);
  }

 private:
  double beta_;
};

[[maybe_unused]] const int entry = registered<PyramidKv>(
    "pyramidkv", "arXiv:2406.02069", "as snapkv, with more entries for the lower layers",
    "s as snapkv; layer l: window + max - l (max - min) / (L - 1), min = B / beta, max = 2 B - min");

}  // namespace
}  // namespace evictbench
