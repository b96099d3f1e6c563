#pragma once

#include <optional>

#include "policies/calibration.h"
#include "policies/snapkv.h"

namespace evictbench {

// CompressKV's ranking (compresskv.cpp): what the retrieval heads of a layer look at, for all lanes of the layer.
class RetrievalRanking : public SnapKv {
 public:
  Needs needs(const KvShape& shape) const override {
    order_.value().best(shape, heads_);  // refuses those of another model
    return SnapKv::needs(shape);
  }
  bool nested() const override { return false; }  // rounding may move an entry between lanes

 protected:
  explicit RetrievalRanking(const Options& o)
      : SnapKv(o, {.window = 8, .kernel = 5, .pool = "mean"}),
        heads_(o.integer("heads", 4, 1, 65536, "query heads")) {
    if (const auto file = o.file("head_scores", "a file of head scores or of an order of heads", true))
      order_ = read_head_order(*file);
  }

  Scores score(const Observation& seen) const override {
    return together(seen,
                    pooled(pick(observe(seen, window_stat()), order_.value().best(seen.shape(), heads_))));
  }

 private:
  int heads_;
  std::optional<HeadOrder> order_;
};

// CompressKV's budgets (compresskv.cpp): by what each layer suffers. Option `layer_scores`; without it the same for all.
class LayerParts {
 public:
  explicit LayerParts(const Options& o) {
    if (const auto file = o.file("layer_scores", "a file of layer scores", false))
      scores_ = read_layer_scores(*file);
  }

  // Refuses scores of another model.
  void check(const KvShape& shape) const {
    if (scores_) scores_->of(shape);
  }
  Shares shares(const Ranking& ranking, const Budget& budget) const {
    return scores_ ? by_layers(ranking, budget, scores_->of(ranking.shape)) : uniform(ranking, budget);
  }

 private:
  std::optional<LayerScores> scores_;
};

}  // namespace evictbench
