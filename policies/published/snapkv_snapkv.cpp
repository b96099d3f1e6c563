// SnapKV as its authors have it: every query head has a cache of its own.
// Li et al. 2024, arXiv:2404.14469; FasterDecoding/SnapKV.
//
//   score     attention of one query head from the window, pooled (`pool`) over `kernel` tokens
//   share     whole entries, the same for every query head
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class SnapKvOfSnapKv final : public QueryHeadSnapKv {
 public:
  explicit SnapKvOfSnapKv(const Options& o) : QueryHeadSnapKv(o, kOfSnapKv) {}
};

[[maybe_unused]] const int entry = registered<SnapKvOfSnapKv>(
    "snapkv@snapkv", "arXiv:2404.14469", "as snapkv, with a cache for every query head",
    "s[h,t] = pool(sum over window rows r of A[h,r,t]); lane h: C");

}  // namespace
}  // namespace evictbench
