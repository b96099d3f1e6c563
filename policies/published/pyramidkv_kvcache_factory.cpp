// PyramidKV as its authors have it: whole numbers, and a cache for every query head.
// Cai et al. 2024, arXiv:2406.02069; Zefan-Cai/KVCache-Factory.
//
//   score     as snapkv@kvcache-factory
//   share     falls in a line from the lowest layer to the highest; its step is rounded down, which overspends;
//             uniform where the prompt is shorter than twice the past budget
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class PyramidKvOfFactory final : public QueryHeadSnapKv {
 public:
  explicit PyramidKvOfFactory(const Options& o)
      : QueryHeadSnapKv(o, kOfKvCacheFactory), beta_(o.number("beta", 20, 1, 1e6)) {}

  bool nested() const override { return false; }  // a larger budget flattens the pyramid

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return pyramid(ranking, budget, beta_);
  }

 private:
  double beta_;
};

[[maybe_unused]] const int entry =
    registered<PyramidKvOfFactory>("pyramidkv@kvcache-factory", "arXiv:2406.02069",
                                   "as pyramidkv, with a step rounded down and a cache for every query head",
                                   "s as snapkv@kvcache-factory; layer l: window + max - l floor((max - min) "
                                   "/ (L - 1)), min = floor(B / beta), max = 2 B - min");

}  // namespace
}  // namespace evictbench
