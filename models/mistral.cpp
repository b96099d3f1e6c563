// Mistral 7B v0.1 to v0.3 and Mistral Nemo. Jiang et al. 2023, arXiv:2310.06825. Where the config has a sliding window
// (v0.1), every layer attends within it.

#include "models/config_reader.h"
#include "models/family.h"

namespace evictbench {
namespace {

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(json, {});
  require_keys(json, {"num_key_value_heads", "sliding_window"});  // transformers would take 8 and 4096
  read_sizes(json, out);
  read_heads(json, out);
  read_activation(json, "hidden_act", {"silu", "swish"}, Activation::kSilu, out);
  read_rope(json, {}, out);
  read_window(json, out);
  end_config(json, false, out);
  return out;
}

const int entry = register_family({
    .model_type = "mistral",
    .summary = "Mistral 7B v0.1 (sliding window), v0.2, v0.3, Mistral Nemo",
    .config = config,
    .names = [](const DecoderConfig& c, const TensorFiles&) { return usual_names(c); },
});

}  // namespace
}  // namespace evictbench
