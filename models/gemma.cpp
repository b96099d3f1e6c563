#include "models/gemma.h"

#include <cmath>

#include "models/config_reader.h"

namespace evictbench {

void read_gemma(const Json& json, int pattern, DecoderConfig& out) {
  require_keys(json, {"num_key_value_heads", "head_dim"});  // transformers would take 4 and 256
  read_sizes(json, out);
  read_heads(json, out);
  read_activation(json, "hidden_activation", {"gelu_pytorch_tanh"}, Activation::kGelu, out);
  out.qkv_bias = out.output_bias = flag_at(json, "attention_bias", false);
  out.norm_adds_one = out.post_norms = true;
  out.embedding_scale = std::sqrt(out.hidden);
  const double scale = std::sqrt(out.head_dim / json.at("query_pre_attn_scalar").number(1e-3, 1e6));
  for (LayerForm& form : out.forms) form.query_scale = scale;
  std::vector<bool> slides;
  for (int l = 0; l < out.layers; ++l) slides.push_back((l + 1) % pattern != 0);
  slides = read_layer_types(json, out, slides);
  const int window = size_at(json, "sliding_window", kMostPositions);
  for (std::size_t l = 0; l < slides.size(); ++l)
    if (slides[l]) out.forms[l].window = window;
}

}  // namespace evictbench
