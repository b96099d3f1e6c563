// PyramidKV in AdaKV: one schedule, that of the first prompt.
// Cai et al. 2024, arXiv:2406.02069; FFY0/AdaKV.
//
//   score     as snapkv
//   share     falls in a line from the lowest layer to the highest; its step is rounded down, which overspends; for a
//             prompt of `first_prompt` tokens, of which the repository takes the first that it sees; 0: for this
//             prompt
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class PyramidKvOfAdaKv final : public FrozenPyramid<SnapKv> {
 public:
  explicit PyramidKvOfAdaKv(const Options& o) : FrozenPyramid(o, kOfSnapKv) {}
};

[[maybe_unused]] const int entry = registered<PyramidKvOfAdaKv>(
    "pyramidkv@adakv", "arXiv:2406.02069", "as pyramidkv, with the schedule of the first prompt",
    "s as snapkv; layer l: window + max - l floor((max - min) / (L - 1)), min = floor(B / beta), max = 2 B - "
    "min; if max >= n: max = n, min = 2 B - n, n = first_prompt (or T) - window");

}  // namespace
}  // namespace evictbench
