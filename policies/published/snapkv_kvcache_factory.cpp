// SnapKV in KVCache-Factory and HeadKV: a shorter window, and a cache for every query head.
// Li et al. 2024, arXiv:2404.14469; Zefan-Cai/KVCache-Factory, FYYFU/HeadKV.
//
//   score     attention of one query head from the window, pooled (`pool`) over `kernel` tokens
//   share     whole entries, the same for every query head
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class SnapKvOfFactory final : public QueryHeadSnapKv {
 public:
  explicit SnapKvOfFactory(const Options& o) : QueryHeadSnapKv(o, kOfKvCacheFactory) {}
};

[[maybe_unused]] const int entry =
    registered<SnapKvOfFactory>("snapkv@kvcache-factory", "arXiv:2404.14469",
                                "as snapkv, with a window of 8 and a cache for every query head",
                                "s[h,t] = pool(sum over window rows r of A[h,r,t]); lane h: C");

}  // namespace
}  // namespace evictbench
