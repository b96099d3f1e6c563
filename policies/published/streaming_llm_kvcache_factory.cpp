// StreamingLLM in KVCache-Factory (needle runner): most of the budget goes to the beginning of the prompt.
// Xiao et al. 2023, arXiv:2309.17453; Zefan-Cai/KVCache-Factory (needle runner).
//
//   score     none
//   share     the same for every lane
//   keep      the last `window` tokens, then the first ones

#include "policies/registry.h"
#include "policies/streaming_llm.h"

namespace evictbench {
namespace {

class StreamingLlmOfFactory final : public Unscored {
 public:
  explicit StreamingLlmOfFactory(const Options& o) : window_(o.integer("window", 32, 1, 65536, "tokens")) {}

 protected:
  Protect protect() const override { return {.window = window_}; }

 private:
  int window_;
};

[[maybe_unused]] const int entry = registered<StreamingLlmOfFactory>(
    "streaming_llm@kvcache-factory", "arXiv:2309.17453",
    "the last 32 tokens, and the first ones with all that is left of the budget",
    "t < C - window or t >= T - window");

}  // namespace
}  // namespace evictbench
