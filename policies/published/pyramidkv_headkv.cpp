// PyramidKV in HeadKV: one schedule, that of the first prompt, and a cache for every query head.
// Cai et al. 2024, arXiv:2406.02069; FYYFU/HeadKV.
//
//   score     as snapkv@kvcache-factory
//   share     falls in a line from the lowest layer to the highest; its step is rounded down, which overspends; for a
//             prompt of `first_prompt` tokens, of which the repository takes the first that it sees; 0: for this
//             prompt
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class PyramidKvOfHeadKv final : public FrozenPyramid<QueryHeadSnapKv> {
 public:
  explicit PyramidKvOfHeadKv(const Options& o) : FrozenPyramid(o, kOfKvCacheFactory) {}
};

[[maybe_unused]] const int entry = registered<PyramidKvOfHeadKv>(
    "pyramidkv@headkv", "arXiv:2406.02069",
    "as pyramidkv@adakv, with a window of 8 and a cache for every query head",
    "s as snapkv@kvcache-factory; layer l: window + max - l floor((max - min) / (L - 1)), min = floor(B / "
    "beta), max = 2 B - min; if max >= n: max = n, min = 2 B - n, n = first_prompt (or T) - window");

}  // namespace
}  // namespace evictbench
