// HeadCompressKV: CompressKV's ranking with HeadKV's budgets, a hybrid of CompressKV's repository.
// Lin et al. 2025, arXiv:2508.02401, and Fu et al. 2024, arXiv:2410.19258.
//
//   score     as CompressKV
//   share     as HeadKV
//   keep      the window, then the best scores

#include "policies/compresskv.h"
#include "policies/head_pool.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class HeadCompressKv final : public RetrievalRanking {
 public:
  explicit HeadCompressKv(const Options& o) : RetrievalRanking(o), head_pool_(o) {}

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return head_pool_.shares(ranking, budget);
  }

 private:
  HeadPool head_pool_;
};

[[maybe_unused]] const int entry =
    registered<HeadCompressKv>("headcompresskv", "arXiv:2508.02401 and arXiv:2410.19258",
                               "as compresskv, with more entries for heads that are known to retrieve",
                               "s as compresskv; lanes as headkv");

}  // namespace
}  // namespace evictbench
