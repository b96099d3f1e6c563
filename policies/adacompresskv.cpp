// AdaCompressKV: CompressKV's ranking and layer budgets, with the heads of a layer competing as in Ada-KV; a hybrid of
// CompressKV's repository. Lin et al. 2025, arXiv:2508.02401, and Feng et al. 2024, arXiv:2407.11550.
//
//   score     as CompressKV: one ranking for every lane of a layer
//   share     of a layer: as CompressKV; of a head: what it wins in its layer with SnapKV's scores of the same window,
//             blended with an equal share by `alpha`
//   keep      the window, then the best scores

#include "policies/compresskv.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class AdaCompressKv final : public RetrievalRanking {
 public:
  explicit AdaCompressKv(const Options& o)
      : RetrievalRanking(o), layer_parts_(o), alpha_(o.number("alpha", 0.2, 0, 1)) {}

  Needs needs(const KvShape& shape) const override {
    layer_parts_.check(shape);
    return RetrievalRanking::needs(shape);
  }

  // Heads compete with scores of their own, then take prefixes of the ranking that they share.
  std::vector<Kept> select(const Observation& seen, std::span<const Budget> budgets) const override {
    const Scores own = SnapKv::score(seen);
    const Ranking competing = rank(own, protect()), shared = rank(score(seen), protect());
    std::vector<Kept> kept;
    for (const Budget& budget : budgets) {
      const Shares even = layer_parts_.shares(shared, budget);
      kept.push_back({take(shared, adaptive(own, competing, even, budget, alpha_)), {}, {}});
    }
    return kept;
  }

 private:
  LayerParts layer_parts_;
  double alpha_;
};

[[maybe_unused]] const int entry = registered<AdaCompressKv>(
    "adacompresskv", "arXiv:2508.02401 and arXiv:2407.11550",
    "as compresskv, with the heads of a layer competing for its entries",
    "s and layers as compresskv; lanes as adakv, with snapkv's s and B = the layer's share - window");

}  // namespace
}  // namespace evictbench
