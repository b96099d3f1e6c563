// HeadKV in KVCache-Factory: the window comes on top of the budget.
// Fu et al. 2024, arXiv:2410.19258; Zefan-Cai/KVCache-Factory.
//
//   score     as snapkv@kvcache-factory
//   share     as headkv@headkv, but the whole budget is divided and the window added to it
//   keep      the window, then the best scores

#include "policies/head_pool.h"
#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class HeadKvOfFactory final : public HeadPooled<QueryHeadSnapKv> {
 public:
  explicit HeadKvOfFactory(const Options& o) : HeadPooled(o, kOfKvCacheFactory) {}

 protected:
  Shares allocate(const Scores& scores, const Ranking& ranking, const Budget& budget) const override {
    return HeadPooled::allocate(scores, ranking, {budget.entries + ranking.protect.size(), budget.rule});
  }
};

[[maybe_unused]] const int entry = registered<HeadKvOfFactory>(
    "headkv@kvcache-factory", "arXiv:2410.19258", "as headkv@headkv, with the window on top of the budget",
    "s as snapkv@kvcache-factory; lane h: as headkv@headkv with B = C");

}  // namespace
}  // namespace evictbench
