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
      : SnapKv(o, {.window = 8, .kernel = 5, .pool = "mean"}), heads_(o.integer("heads", 4, 1, 65536)) {
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

}  // namespace evictbench
