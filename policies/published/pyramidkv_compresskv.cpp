// PyramidKV in CompressKV: one schedule, that of the first prompt, and heads grouped in strides.
// Cai et al. 2024, arXiv:2406.02069; TUDa-HWAI/CompressKV.
//
//   score     as snapkv@compresskv
//   share     falls in a line from the lowest layer to the highest; its step is rounded down, which overspends; for a
//             prompt of `first_prompt` tokens, of which the repository takes the first that it sees; 0: for this
//             prompt
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class PyramidKvOfCompressKv final : public FrozenPyramid<StridedSnapKv> {
 public:
  explicit PyramidKvOfCompressKv(const Options& o) : FrozenPyramid(o, kOfCompressKv) {}
};

[[maybe_unused]] const int entry = registered<PyramidKvOfCompressKv>(
    "pyramidkv@compresskv", "arXiv:2406.02069", "as pyramidkv@adakv, with heads grouped in strides",
    "s as snapkv@compresskv; layer l: window + max - l floor((max - min) / (L - 1)), min = floor(B / beta), "
    "max = 2 B - min; if max >= n: max = n, min = 2 B - n, n = first_prompt (or T) - window");

}  // namespace
}  // namespace evictbench
