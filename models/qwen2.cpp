// Qwen 1.5, 2 and 2.5. Yang et al. 2024, arXiv:2407.10671. Queries, keys and values have biases.

#include "models/config_reader.h"
#include "models/family.h"

namespace evictbench {
namespace {

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(json, {});
  require_keys(json, {"num_key_value_heads"});  // transformers would take 32
  read_sizes(json, out);
  read_heads(json, out);
  read_activation(json, "hidden_act", {"silu", "swish"}, Activation::kSilu, out);
  out.qkv_bias = true;
  read_rope(json, {}, out);
  read_upper_windows(json, out);
  end_config(json, false, out);
  return out;
}

const int entry = register_family({
    .model_type = "qwen2",
    .summary = "Qwen 1.5, 2, 2.5",
    .config = config,
    .names = [](const DecoderConfig& c, const TensorFiles&) { return usual_names(c); },
});

}  // namespace
}  // namespace evictbench
