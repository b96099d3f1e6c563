#pragma once

#include <optional>

#include "policies/calibration.h"
#include "policies/stages.h"

namespace evictbench {

// HeadKV's budgets (headkv.cpp): a pool for the whole model that goes to lanes by the scores of their heads. Options
// `head_scores`, `beta`, `temperature`.
class HeadPool {
 public:
  explicit HeadPool(const Options& o)
      : beta_(o.number("beta", 1.01, 1, 1e6)), temperature_(o.number("temperature", 1, 0, 100)) {
    if (const auto file = o.file("head_scores", "a file of head scores", true))
      heads_ = read_head_scores(*file);
  }

  // Refuses scores of another model.
  void check(const KvShape& shape) const { heads_.value().lane_weights(shape, temperature_); }
  Shares shares(const Ranking& ranking, const Budget& budget) const {
    KvShape shape = ranking.shape;
    shape.kv_heads = ranking.heads();  // a lane of the ranking may be a query head's
    return by_heads(ranking, budget, heads_.value().lane_weights(shape, temperature_), beta_);
  }

 private:
  double beta_, temperature_;
  std::optional<HeadScores> heads_;
};

}  // namespace evictbench
