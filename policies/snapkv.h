#pragma once

#include "policies/options.h"
#include "policies/ranking_policy.h"

namespace evictbench {

// SnapKV's rule (snapkv.cpp). Methods that only divide the budget otherwise derive from it.
class SnapKv : public RankingPolicy {
 public:
  struct Defaults {
    int window = 32, kernel = 7;
    const char* pool = "max";
  };
  explicit SnapKv(const Options& o) : SnapKv(o, Defaults{}) {}

  Needs needs(const KvShape&) const override { return {{seen_}, {}}; }

 protected:
  SnapKv(const Options& o, const Defaults& usual)
      : seen_{Stat::kWindowAttention, o.integer("window", usual.window, 1, 65536, "tokens")},
        kernel_(o.odd("kernel", usual.kernel, 1, 65535, "tokens")),
        pool_(o.choice("pool", usual.pool, {"max", "mean"}) == "max" ? Pool::kMax : Pool::kMean) {}

  Scores score(const Observation& seen) const override { return pooled(group(observe(seen, seen_))); }
  Protect protect() const override { return {.window = seen_.window}; }

  const Stat& window_stat() const { return seen_; }
  Scores pooled(const Scores& scores) const { return pool(scores, pool_, kernel_, seen_.window); }

 private:
  Stat seen_;
  int kernel_;
  Pool pool_;
};

}  // namespace evictbench
