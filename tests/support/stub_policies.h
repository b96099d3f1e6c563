#pragma once

#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "policies/ranking_policy.h"

// Policies that exist to prove the seams; core knows none of them.
namespace evictbench::stubs {

constexpr Stat kMass{Stat::kColumnSums};

// Heavy hitters that go on being weighed while decoding: one slot leaves each lane for each that comes.
class RollingHeavyHitters final : public RankingPolicy {
 public:
  struct Seen {  // what the rule was shown, for the test
    std::vector<std::int32_t> longest;
    std::vector<float> newest_mass;
  };
  explicit RollingHeavyHitters(Seen* seen) : seen_(seen) {}
  Needs needs(const KvShape&) const override { return {{kMass}, {}}; }
  std::unique_ptr<DecodeRule> decode_rule() const override { return std::make_unique<Rule>(seen_); }

 private:
  class Rule final : public DecodeRule {
   public:
    explicit Rule(Seen* seen) : seen_(seen) {}
    Needs needs() const override { return {{kMass}, {}}; }
    int every() const override { return 1; }
    Kept decide(const Observation& live, const Budget& budget) override {
      seen_->longest.push_back(live.shape().tokens);
      seen_->newest_mass.push_back(live.table(kMass).row<float>(0)[live.shape().tokens - 1]);
      const Ranking ranking = rank(group(observe(live, kMass)), {.window = 4});
      return {take(ranking, uniform(ranking, budget)), {}, {}};
    }

   private:
    Seen* seen_;
  };
  Scores score(const Observation& seen) const override { return group(observe(seen, kMass)); }
  Protect protect() const override { return {.window = 4}; }

  Seen* seen_;
};

// One centroid per lane for all that is evicted; counted as one entry of the budget. Not weighed, it has the weight
// of a single token.
class Centroid final : public Policy {
 public:
  explicit Centroid(bool weighed) : weighed_(weighed) {}
  Needs needs(const KvShape&) const override { return {}; }
  std::vector<Kept> select(const Observation& seen, std::span<const Budget> budgets) const override {
    std::vector<Kept> kept;
    for (const Budget& budget : budgets)
      kept.push_back(merge_all_but(seen.shape(), static_cast<int>(budget.entries) - 1));
    return kept;
  }

 private:
  Kept merge_all_but(const KvShape& s, int recent) const {
    const int merged = s.tokens - recent;
    std::vector<std::int32_t> slots(static_cast<std::size_t>(s.tokens));
    std::iota(slots.begin(), slots.end(), 0);
    const auto old = std::span(slots).first(static_cast<std::size_t>(merged));
    const float count = static_cast<float>(merged);
    Kept kept{Selection(s.layers, s.kv_heads), {}, {}};
    for (int lane = 0; lane < s.lanes(); ++lane) {
      kept.selection.push_lane(std::span(slots).subspan(old.size()));
      kept.blends.push_back({lane,
                             {old.begin(), old.end()},
                             std::vector<float>(old.size(), 1 / count),
                             weighed_ ? std::log(count) : 0,
                             {}});
    }
    return kept;
  }

  bool weighed_;
};

// k -> R R^T k with R [D, rank] orthonormal: a lane's keys as a store of rank `rank` would give them back.
class LowRank final : public Codec {
 public:
  LowRank(std::vector<float> r, int rank) : r_(std::move(r)), rank_(rank) {}
  void round_trip(Device&, float* keys, float*, int entries, int dim) const override {
    for (int e = 0; e < entries; ++e) project(keys + std::ptrdiff_t{e} * dim, dim);
  }
  double logical_bytes(int entries, int dim) const override { return 4.0 * entries * (rank_ + dim); }
  void project(float* key, int dim) const {
    std::vector<float> code(static_cast<std::size_t>(rank_));  // R^T k
    for (int d = 0; d < dim; ++d)
      for (int r = 0; r < rank_; ++r) code[static_cast<std::size_t>(r)] += at(d, r) * key[d];
    std::fill(key, key + dim, 0.0f);
    for (int d = 0; d < dim; ++d)
      for (int r = 0; r < rank_; ++r) key[d] += at(d, r) * code[static_cast<std::size_t>(r)];
  }

 private:
  float at(int d, int r) const { return r_[static_cast<std::size_t>(d * rank_ + r)]; }

  std::vector<float> r_;  // [D, rank]
  int rank_;
};

// KVzip's idea: what a second pass over the same tokens never looks at was not needed to say them again.
class Repeat final : public RankingPolicy {
 public:
  Needs needs(const KvShape&) const override {
    return {{}, {{"repeat", [](std::span<const std::int32_t> prompt) {
                    return Tokens(prompt.begin(), prompt.end());
                  }}}};
  }

 private:
  Scores score(const Observation& seen) const override {
    return group(probe(seen, "repeat"), HeadReduce::kMax);
  }
};

// SnapKV as first published: every query head has a cache of its own.
class SnapKvQueryHeads final : public RankingPolicy {
 public:
  explicit SnapKvQueryHeads(Pool how = Pool::kMax) : how_(how) {}
  Needs needs(const KvShape&) const override { return {{kSeen}, {}}; }

 private:
  static constexpr Stat kSeen{Stat::kWindowAttention, 2};
  Scores score(const Observation& seen) const override {
    return pool(observe(seen, kSeen), how_, 3, kSeen.window);
  }
  Protect protect() const override { return {.window = kSeen.window}; }

  Pool how_;
};

}  // namespace evictbench::stubs
