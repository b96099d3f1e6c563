#pragma once

#include "policies/ranking_policy.h"

namespace evictbench {

// No score: the first tokens come first, after what a policy protects.
class Unscored : public RankingPolicy {
 public:
  Needs needs(const KvShape&) const override { return {}; }

 protected:
  Scores score(const Observation& seen) const override {  // all alike, and ties go to the lower slot
    const KvShape& s = seen.shape();
    return {s, Tensor::zeros(seen.device(), DType::kF32, {s.layers, s.kv_heads, s.tokens}),
            seen.lengths(s.kv_heads)};
  }
};

}  // namespace evictbench
