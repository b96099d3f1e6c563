// HeadCompressKV: CompressKV's ranking with HeadKV's budgets, a hybrid of CompressKV's repository.
// Lin et al. 2025, arXiv:2508.02401, and Fu et al. 2024, arXiv:2410.19258.
//
//   score     as CompressKV
//   share     as HeadKV
//   keep      the window, then the best scores

#include "policies/compresskv.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class HeadCompressKv final : public RetrievalRanking {
 public:
  explicit HeadCompressKv(const Options& o)
      : RetrievalRanking(o),
        beta_(o.number("beta", 1.01, 1, 1e6)),
        temperature_(o.number("temperature", 1, 0, 100)) {
    if (const auto file = o.file("head_scores", "a file of head scores", true))
      heads_ = read_head_scores(*file);
  }

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return by_heads(ranking, budget, heads_.value().lane_weights(ranking.shape, temperature_), beta_);
  }

 private:
  double beta_, temperature_;
  std::optional<HeadScores> heads_;
};

[[maybe_unused]] const int entry =
    registered<HeadCompressKv>("headcompresskv", "arXiv:2508.02401 and arXiv:2410.19258",
                               "as compresskv, with more entries for heads that are known to retrieve");

}  // namespace
}  // namespace evictbench
