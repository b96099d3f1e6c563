// HeadKV as its authors have it: every query head has a cache of its own.
// Fu et al. 2024, arXiv:2410.19258; FYYFU/HeadKV.
//
//   score     as snapkv@kvcache-factory
//   share     as headkv, each query head by its own score, in whole numbers; what a head has above the prompt is lost
//   keep      the window, then the best scores

#include "policies/head_pool.h"
#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class HeadKvOfHeadKv final : public HeadPooled<QueryHeadSnapKv> {
 public:
  explicit HeadKvOfHeadKv(const Options& o) : HeadPooled(o, kOfKvCacheFactory) {}
};

[[maybe_unused]] const int entry = registered<HeadKvOfHeadKv>(
    "headkv@headkv", "arXiv:2410.19258", "as headkv, with a cache for every query head",
    "s as snapkv@kvcache-factory; lane h: window + round(B - share + w[h] L H share), share = floor(B / "
    "beta), w: head scores, (mean / sum)^temperature, sum 1");

}  // namespace
}  // namespace evictbench
