// H2O in KVCache-Factory: every query head has a cache of its own.
// Zhang et al. 2023, arXiv:2306.14048; Zefan-Cai/KVCache-Factory.
//
//   score     attention of every query of the prompt to a token, summed, of one query head
//   share     whole entries, the same for every query head
//   keep      the last `window` tokens, then the best scores

#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class H2oOfFactory final : public RankingPolicy {
 public:
  explicit H2oOfFactory(const Options& o) : window_(o.integer("window", 8, 1, 65536, "tokens")) {}

  Needs needs(const KvShape&) const override { return {{kMass}, {}}; }
  Budget::Rule rule() const override { return Budget::Rule::kPublished; }
  int heads(const KvShape& shape) const override { return shape.q_heads; }

 protected:
  Scores score(const Observation& seen) const override { return observe(seen, kMass); }
  Protect protect() const override { return {.window = window_}; }

 private:
  static constexpr Stat kMass{Stat::kColumnSums};
  int window_;
};

[[maybe_unused]] const int entry = registered<H2oOfFactory>(
    "h2o@kvcache-factory", "arXiv:2306.14048", "as h2o, with a cache for every query head",
    "s[h,t] = sum over all rows r of A[h,r,t]; lane h: C");

}  // namespace
}  // namespace evictbench
