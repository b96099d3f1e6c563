// SnapKV in CompressKV: KV heads are scored by the wrong query heads.
// Li et al. 2024, arXiv:2404.14469; TUDa-HWAI/CompressKV.
//
//   score     attention from the window, mean of every G-th query head, pooled (`pool`) over `kernel` tokens
//   share     the same for every lane
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class SnapKvOfCompressKv final : public StridedSnapKv {
 public:
  explicit SnapKvOfCompressKv(const Options& o) : StridedSnapKv(o, kOfCompressKv) {}
};

[[maybe_unused]] const int entry = registered<SnapKvOfCompressKv>(
    "snapkv@compresskv", "arXiv:2404.14469", "as snapkv, with heads grouped in strides",
    "s[g,t] = pool(mean over heads g, g + G, g + 2 G, ... of sum over window rows r of A[h,r,t])");

}  // namespace
}  // namespace evictbench
