// PyramidKV in kvpress: the window is part of the line.
// Cai et al. 2024, arXiv:2406.02069; NVIDIA/kvpress 0.5.5.
//
//   score     as snapkv@kvpress
//   share     falls in a line from the lowest layer to the highest, window included; uniform where the highest layer
//             would keep less than the window
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class PyramidKvOfKvpress final : public KvpressSnapKv {
 public:
  explicit PyramidKvOfKvpress(const Options& o) : KvpressSnapKv(o), beta_(o.number("beta", 20, 1, 1e6)) {}

  bool nested() const override { return false; }  // a larger budget flattens the pyramid

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return pyramid_rounded(ranking, budget, beta_);
  }

 private:
  double beta_;
};

[[maybe_unused]] const int entry = registered<PyramidKvOfKvpress>(
    "pyramidkv@kvpress", "arXiv:2406.02069", "as pyramidkv, with the window as a part of the line",
    "s as snapkv@kvpress; layer l: round(max - l (max - min) / (L - 1)), min = C / beta, max = 2 C - min; if "
    "max >= n: max = n, min = 2 C - n, n = T - window; if min < window: round(C)");

}  // namespace
}  // namespace evictbench
