// AdaKV in KVCache-Factory and HeadKV: heads that spread their attention compete with less of it.
// Feng et al. 2024, arXiv:2407.11550; Zefan-Cai/KVCache-Factory, FYYFU/HeadKV.
//
//   score     as snapkv@kvcache-factory
//   share     as adakv@adakv; in the contest a head's scores are scaled by the part of their sum that its best B hold
//   keep      the window, then the best scores

#include <algorithm>
#include <numeric>

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class AdaKvOfFactory final : public RoundedAda<QueryHeadSnapKv> {
 public:
  explicit AdaKvOfFactory(const Options& o) : RoundedAda(o, kOfKvCacheFactory) {}

 protected:
  Shares allocate(const Scores& scores, const Ranking& ranking, const Budget& budget) const override {
    return RoundedAda::allocate(scaled(scores, ranking, budget), ranking, budget);
  }

 private:
  // The order of a head stays what it is. On the host: every row has a factor of its own, and no stage multiplies so.
  static Scores scaled(const Scores& scores, const Ranking& ranking, const Budget& budget) {
    auto values = scores.values.to_host<float>();              // [L, H, T]
    const auto order = ranking.order.to_host<std::int32_t>();  // [L, H, T]
    const auto T = static_cast<std::size_t>(scores.shape.tokens);
    const int window = ranking.protect.size(),
              best = std::max(
                  0, static_cast<int>(std::min<double>(budget.entries, scores.shape.tokens)) - window);
    for (std::size_t row = 0; row < scores.lengths.size(); ++row) {
      const auto first = row * T;
      double all = 0, held = 0;
      for (int i = window; i < scores.lengths[row]; ++i) {
        const auto slot = static_cast<std::size_t>(order[first + static_cast<std::size_t>(i)]);
        all += values[first + slot];
        if (i < window + best) held += values[first + slot];
      }
      const auto factor = static_cast<float>(all > 0 ? held / all : 1);
      for (std::size_t t = 0; t < T; ++t) values[first + t] *= factor;
    }
    return {scores.shape, Tensor::from_host<float>(scores.values.device(), values, scores.values.dims()),
            scores.lengths};
  }
};

[[maybe_unused]] const int entry = registered<AdaKvOfFactory>(
    "adakv@kvcache-factory", "arXiv:2407.11550",
    "as adakv@adakv, with a cache for every query head, and spread heads competing with less",
    "s as snapkv@kvcache-factory; lane h as adakv@adakv, won with s[h,t] (sum of the best B s[h]) / (sum of "
    "all s[h])");

}  // namespace
}  // namespace evictbench
