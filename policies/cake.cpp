// CAKE: layers whose attention is spread out and shifts get more; tokens whose attention shifts count more.
// Qin et al. 2025, arXiv:2503.12491.
//
//   score     over the rows of the window: mean attention + `gamma` x its variance, mean of the group, averaged over
//             `kernel` tokens
//   share     of a layer, beyond the window: in proportion to entropy^(1 / tau1) x variance^(1 / tau2), each summed
//             over heads and past tokens; of a head: the same
//   keep      the window, then the best scores

#include "policies/power.h"
#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class Cake final : public Policy {
 public:
  explicit Cake(const Options& o)
      : window_(o.integer("window", 32, 1, 65536, "tokens")),
        kernel_(o.odd("kernel", 5, 1, 65535, "tokens")),
        gamma_(static_cast<float>(o.number("gamma", 200, 0, 1e6))),
        tau1_(o.number("tau1", 1, 0.1, 100)),
        tau2_(o.number("tau2", 1, 0.1, 100)) {}

  Needs needs(const KvShape&) const override {
    return {{stat(Reduction::kSum), stat(Reduction::kVariance), stat(Reduction::kEntropy)}, {}};
  }

  std::vector<Kept> select(const Observation& seen, std::span<const Budget> budgets) const override {
    const Ranking ranking = rank(score(seen), {.window = window_});
    const std::vector<double> preference = preferences(seen);
    std::vector<Kept> kept;
    for (const Budget& budget : budgets)
      kept.push_back({take(ranking, by_preference(ranking, budget, preference)), {}, {}});
    return kept;
  }

 private:
  Stat stat(Reduction reduction) const { return {Stat::kWindowAttention, window_, reduction}; }

  Scores score(const Observation& seen) const {
    const Scores e = weighed_sum(observe(seen, stat(Reduction::kSum)), 1.0f / static_cast<float>(window_),
                                 observe(seen, stat(Reduction::kVariance)), gamma_);
    return pool(group(e), Pool::kMean, kernel_, window_);
  }

  std::vector<double> preferences(const Observation& seen) const {  // [L]
    const auto entropy = layer_sums(seen, stat(Reduction::kEntropy), window_),
               variance = layer_sums(seen, stat(Reduction::kVariance), window_);
    std::vector<double> out;
    for (std::size_t l = 0; l < entropy.size(); ++l)
      out.push_back(entropy[l] > 0 && variance[l] > 0
                        ? power(entropy[l], 1 / tau1_) * power(variance[l], 1 / tau2_)
                        : 0);
    return out;
  }

  int window_, kernel_;
  float gamma_;
  double tau1_, tau2_;
};

[[maybe_unused]] const int entry = registered<Cake>(
    "cake", "arXiv:2503.12491", "what the last queries look at, more where it is spread and shifts",
    "s[g,t] = pool(mean over h of g of (mean_r A + gamma var_r A)[h,t]); layer l: window + L B P[l] / sum P, "
    "P = (-sum A log A)^(1/tau1) (sum var_r A)^(1/tau2)");

}  // namespace
}  // namespace evictbench
