#pragma once

#include "policies/snapkv.h"
#include "policies/stages.h"

// What published variants share. Each keeps what one repository keeps, and differs from the canonical policy in what its
// row of DEVIATIONS.md says.
namespace evictbench {

// Windows and pooling of the repositories.
constexpr SnapKv::Defaults kOfSnapKv{.window = 32, .kernel = 7, .pool = "max"},  // and AdaKV
    kOfKvCacheFactory{.window = 8, .kernel = 7, .pool = "max"},                  // and HeadKV
    kOfCompressKv{.window = 8, .kernel = 5, .pool = "mean"},
    kOfKvpress{.window = 64, .kernel = 5, .pool = "mean"};

// CompressKV's grouping: a KV head is scored by every G-th query head, not by those that read it.
class StridedSnapKv : public SnapKv {
 protected:
  using SnapKv::SnapKv;
  Scores score(const Observation& seen) const override {
    return pooled(group(observe(seen, window_stat()), HeadReduce::kMean, Grouping::kStrided));
  }
};

// Keys and values are repeated before they are cached: every query head has a cache and a budget of its own.
class QueryHeadSnapKv : public SnapKv {
 public:
  Budget::Rule rule() const override { return Budget::Rule::kPublished; }
  int heads(const KvShape& shape) const override { return shape.q_heads; }

 protected:
  using SnapKv::SnapKv;
  Scores score(const Observation& seen) const override { return pooled(observe(seen, window_stat())); }
};

// kvpress pools before it reduces a group, and keeps one entry at least.
class KvpressSnapKv : public SnapKv {
 public:
  Budget::Rule rule() const override { return Budget::Rule::kPublished; }

 protected:
  explicit KvpressSnapKv(const Options& o) : SnapKv(o, kOfKvpress) {}
  Scores score(const Observation& seen) const override { return group(pooled(observe(seen, window_stat()))); }
};

// PyramidKV as AdaKV, HeadKV and CompressKV have it, over one of the scores above.
template <class Scored>
class FrozenPyramid : public Scored {
 public:
  Budget::Rule rule() const override { return Budget::Rule::kPublished; }
  bool nested() const override { return false; }

 protected:
  FrozenPyramid(const Options& o, const SnapKv::Defaults& usual)
      : Scored(o, usual),
        beta_(o.number("beta", 20, 1, 1e6)),
        first_prompt_(o.integer("first_prompt", 0, 0, 1 << 30, "tokens")) {}
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return pyramid_frozen(ranking, budget, beta_, first_prompt_);
  }

 private:
  double beta_;
  int first_prompt_;
};

// AdaKV's shares with its own rounding, over one of the scores above.
template <class Scored>
class RoundedAda : public Scored {
 public:
  Budget::Rule rule() const override { return Budget::Rule::kPublished; }
  bool nested() const override { return false; }

 protected:
  RoundedAda(const Options& o, const SnapKv::Defaults& usual)
      : Scored(o, usual), alpha_(o.number("alpha", 0.2, 0, 1)) {}
  Shares allocate(const Scores& scores, const Ranking& ranking, const Budget& budget) const override {
    return adaptive(scores, ranking, uniform(ranking, budget), budget, alpha_);
  }

 private:
  double alpha_;
};

}  // namespace evictbench
