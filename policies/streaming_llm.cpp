// StreamingLLM, one-shot: keep the first `sinks` tokens and the most recent ones.
// Xiao et al. 2023, arXiv:2309.17453.
//
//   score     none: what is protected fills any budget
//   share     the same for every lane
//   keep      the sinks, then the most recent

#include "policies/streaming_llm.h"

#include "policies/registry.h"

namespace evictbench {
namespace {

class StreamingLlm final : public Unscored {
 public:
  explicit StreamingLlm(const Options& o) : sinks_(o.integer("sinks", 4, 0, 65536, "tokens")) {}

 protected:
  Protect protect() const override { return {.sinks = sinks_, .window = kEverything}; }

 private:
  static constexpr int kEverything = 1 << 30;
  int sinks_;
};

[[maybe_unused]] const int entry =
    registered<StreamingLlm>("streaming_llm", "arXiv:2309.17453", "the first tokens and the most recent ones",
                             "t < sinks or t >= T - (budget - sinks)");

}  // namespace
}  // namespace evictbench
