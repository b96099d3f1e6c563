// StreamingLLM, one-shot: keep the first `sinks` tokens and the most recent ones.
// Xiao et al. 2023, arXiv:2309.17453.
//
//   score     none: what is protected fills any budget
//   share     the same for every lane
//   keep      the sinks, then the most recent

#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class StreamingLlm final : public RankingPolicy {
 public:
  explicit StreamingLlm(const Options& o) : sinks_(o.integer("sinks", 4, 0, 65536)) {}

  Needs needs(const KvShape&) const override { return {}; }

 protected:
  Scores score(const Observation& seen) const override {
    const KvShape& s = seen.shape();
    return {s, Tensor::zeros(seen.device(), DType::kF32, {s.layers, s.kv_heads, s.tokens}),
            seen.lengths(s.kv_heads)};
  }
  Protect protect() const override { return {.sinks = sinks_, .window = kEverything}; }

 private:
  static constexpr int kEverything = 1 << 30;
  int sinks_;
};

[[maybe_unused]] const int entry = registered<StreamingLlm>("streaming_llm", "arXiv:2309.17453",
                                                            "the first tokens and the most recent ones");

}  // namespace
}  // namespace evictbench
