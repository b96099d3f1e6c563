// Observed attention, kvpress's kin of H2O: the mean attention of the queries that can see a token.
// NVIDIA/kvpress 0.5.5.
//
//   score     attention of every query of the prompt, summed, over the number of queries that see the token; mean of
//             the group
//   share     whole entries, the same for every lane, at least one
//   keep      the best scores; nothing is protected

#include <algorithm>

#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class ObservedAttention final : public RankingPolicy {
 public:
  explicit ObservedAttention(const Options&) {}

  Needs needs(const KvShape&) const override { return {{kMass}, {}}; }
  Budget::Rule rule() const override { return Budget::Rule::kPublished; }

 protected:
  Scores score(const Observation& seen) const override {
    const Tensor& sums = seen.table(kMass);  // [L, H, T]
    auto means = sums.to_host<float>();      // a column each has its own divisor, and no stage divides so
    const auto T = static_cast<std::size_t>(sums.columns());
    const int members = seen.shape().group();
    for (std::size_t row = 0; row * T < means.size(); ++row) {
      const auto positions = seen.positions(static_cast<int>(row) / members);
      for (std::size_t slot = 0; slot < positions.size(); ++slot)
        means[row * T + slot] /= static_cast<float>(positions.back() + 1 - positions[slot]);
    }
    return group({seen.shape(), Tensor::from_host<float>(seen.device(), means, sums.dims()),
                  seen.lengths(seen.shape().q_heads)});
  }
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return uniform(ranking, {std::max(1.0, budget.entries), budget.rule});
  }

 private:
  static constexpr Stat kMass{Stat::kColumnSums};
};

[[maybe_unused]] const int entry = registered<ObservedAttention>(
    "observed_attention@kvpress", "none", "what the queries that can see it look at most",
    "s[g,t] = mean over heads h of g of (sum over all rows r of A[h,r,t]) / (T - t); lane: max(1, floor(C))");

}  // namespace
}  // namespace evictbench
