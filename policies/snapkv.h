#pragma once

#include "policies/options.h"
#include "policies/ranking_policy.h"

namespace evictbench {

// SnapKV's rule (snapkv.cpp). Methods that only divide the budget otherwise derive from it.
class SnapKv : public RankingPolicy {
 public:
  explicit SnapKv(const Options& o)
      : seen_{Stat::kWindowAttention, o.integer("window", 32, 1, 65536)},
        kernel_(o.odd("kernel", 7, 1, 65535)),
        pool_(o.choice("pool", "max", {"max", "mean"}) == "max" ? Pool::kMax : Pool::kMean) {}

  Needs needs(const KvShape&) const override { return {{seen_}, {}}; }

 protected:
  Scores score(const Observation& seen) const override {
    return pool(group(observe(seen, seen_)), pool_, kernel_, seen_.window);
  }
  Protect protect() const override { return {.window = seen_.window}; }

 private:
  Stat seen_;
  int kernel_;
  Pool pool_;
};

}  // namespace evictbench
