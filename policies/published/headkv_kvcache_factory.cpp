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

class HeadKvOfFactory final : public QueryHeadSnapKv {
 public:
  explicit HeadKvOfFactory(const Options& o) : QueryHeadSnapKv(o, kOfKvCacheFactory), head_pool_(o) {}

  Needs needs(const KvShape& shape) const override {
    head_pool_.check(shape);
    return QueryHeadSnapKv::needs(shape);
  }
  bool nested() const override { return false; }  // rounding may move an entry between lanes

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return head_pool_.shares(ranking, {budget.entries + ranking.protect.size(), budget.rule});
  }

 private:
  HeadPool head_pool_;
};

[[maybe_unused]] const int entry = registered<HeadKvOfFactory>(
    "headkv@kvcache-factory", "arXiv:2410.19258", "as headkv@headkv, with the window on top of the budget",
    "s as snapkv@kvcache-factory; lane h: as headkv@headkv with B = C");

}  // namespace
}  // namespace evictbench
