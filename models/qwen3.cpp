// Qwen 3, dense. Yang et al. 2025, arXiv:2505.09388. Each head of queries and keys has a norm before it turns.

#include "models/config_reader.h"
#include "models/family.h"

namespace evictbench {
namespace {

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(json, {"attention_bias"});
  require_keys(json, {"num_key_value_heads", "head_dim"});  // transformers would take 32 and 128
  read_sizes(json, out);
  read_heads(json, out);
  read_activation(json, "hidden_act", {"silu", "swish"}, Activation::kSilu, out);
  out.qkv_bias = out.output_bias = flag_at(json, "attention_bias", false);
  out.head_norms = true;
  read_rope(json, {}, out);
  read_upper_windows(json, out);
  end_config(json, false, out);
  return out;
}

const int entry = register_family({
    .model_type = "qwen3",
    .summary = "Qwen 3 (dense)",
    .config = config,
    .names = [](const DecoderConfig& c, const TensorFiles&) { return usual_names(c); },
});

}  // namespace
}  // namespace evictbench
