// Llama 2, 3, 3.1 and 3.2, and every checkpoint that says it is one (SmolLM2, TinyLlama, ...).
// Touvron et al. 2023, arXiv:2307.09288; Dubey et al. 2024, arXiv:2407.21783.

#include "models/config_reader.h"
#include "models/family.h"

namespace evictbench {
namespace {

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(json, {"attention_bias", "mlp_bias"});
  read_sizes(json, out);
  read_heads(json, out);
  read_activation(json, "hidden_act", {"silu", "swish"}, Activation::kSilu, out);
  out.qkv_bias = out.output_bias = flag_at(json, "attention_bias", false);
  out.mlp_bias = flag_at(json, "mlp_bias", false);
  read_rope(json, {}, out);
  refuse_windows(json, out);
  end_config(json, false, out);
  return out;
}

const int entry = register_family({
    .model_type = "llama",
    .summary = "Llama 2, 3, 3.1, 3.2, SmolLM2, TinyLlama",
    .config = config,
    .names = [](const DecoderConfig& c, const TensorFiles&) { return usual_names(c); },
});

}  // namespace
}  // namespace evictbench
