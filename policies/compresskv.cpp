// CompressKV: the heads that retrieve choose the tokens of their layer, and layers that suffer more keep more.
// Lin et al. 2025, arXiv:2508.02401.
//
//   score     attention from the window of the best `heads` of the layer, of `head_scores`, each pooled (`pool`) over
//             `kernel` tokens; their mean ranks for every lane of the layer
//   share     of a layer: 32 entries a lane, and by `layer_scores` what is above; at most 3 times the mean. Without
//             layer scores the same for every layer; of a head: the same
//   keep      the window, then the best scores

#include "policies/compresskv.h"

#include "policies/registry.h"

namespace evictbench {
namespace {

class CompressKv final : public RetrievalRanking {
 public:
  explicit CompressKv(const Options& o) : RetrievalRanking(o) {
    if (const auto file = o.file("layer_scores", "a file of layer scores", false))
      layers_ = read_layer_scores(*file);
  }

  Needs needs(const KvShape& shape) const override {
    if (layers_) layers_->of(shape);
    return RetrievalRanking::needs(shape);
  }

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return layers_ ? by_layers(ranking, budget, layers_->of(ranking.shape)) : uniform(ranking, budget);
  }

 private:
  std::optional<LayerScores> layers_;
};

[[maybe_unused]] const int entry = registered<CompressKv>(
    "compresskv", "arXiv:2508.02401", "what the retrieval heads of a layer look at, for all its heads");

}  // namespace
}  // namespace evictbench
