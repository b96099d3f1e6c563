// StreamingLLM in CompressKV: most of the budget goes to the beginning of the prompt.
// Xiao et al. 2023, arXiv:2309.17453; TUDa-HWAI/CompressKV.
//
//   score     none
//   share     the same for every lane
//   keep      the last `window` tokens, then the first ones

#include "policies/registry.h"
#include "policies/streaming_llm.h"

namespace evictbench {
namespace {

class StreamingLlmOfCompressKv final : public Unscored {
 public:
  explicit StreamingLlmOfCompressKv(const Options& o) : window_(o.integer("window", 8, 1, 65536, "tokens")) {}

 protected:
  Protect protect() const override { return {.window = window_}; }

 private:
  int window_;
};

[[maybe_unused]] const int entry = registered<StreamingLlmOfCompressKv>(
    "streaming_llm@compresskv", "arXiv:2309.17453",
    "the last 8 tokens, and the first ones with all that is left of the budget",
    "t < C - window or t >= T - window");

}  // namespace
}  // namespace evictbench
