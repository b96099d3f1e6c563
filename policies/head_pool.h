#pragma once

#include <optional>

#include "core/stat.h"
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

// A ranking policy whose budget is divided by such a pool.
template <class Ranked>
class HeadPooled : public Ranked {
 public:
  template <class... Defaults>
  explicit HeadPooled(const Options& o, const Defaults&... defaults)
      : Ranked(o, defaults...), head_pool_(o) {}

  Needs needs(const KvShape& shape) const override {
    head_pool_.check(shape);
    return Ranked::needs(shape);
  }
  bool nested() const override { return false; }  // rounding may move an entry between lanes

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return head_pool_.shares(ranking, budget);
  }

 private:
  HeadPool head_pool_;
};

}  // namespace evictbench
