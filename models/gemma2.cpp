// Gemma 2. Riviere et al. 2024, arXiv:2408.00118. Local and global layers alternate; logits of attention and head are
// capped.

#include <cmath>

#include "models/config_reader.h"
#include "models/family.h"
#include "models/gemma.h"

namespace evictbench {
namespace {

double cap_at(const Json& json, const char* key) {
  const auto cap = json.find(key);
  return cap ? cap->number(1e-3, 1e6) : 0;
}

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(
      json, {"attention_bias", "attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar",
             "hidden_activation", "cache_implementation"});
  read_gemma(json, 2, out);
  read_rope(json, out);
  out.attention_softcap = cap_at(json, "attn_logit_softcapping");
  out.logit_softcap = cap_at(json, "final_logit_softcapping");
  end_config(json, true, out);
  return out;
}

const int entry = register_family({
    .model_type = "gemma2",
    .summary = "Gemma 2",
    .config = config,
    .names = [](const DecoderConfig& c, const TensorFiles&) { return usual_names(c); },
});

}  // namespace

void read_gemma(const Json& json, int pattern, DecoderConfig& out) {
  for (const char* key : {"num_key_value_heads", "head_dim"}) json.at(key);  // transformers would take 4 and 256
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
