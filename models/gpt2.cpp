// GPT-2. Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". Learned positions, layer norms, one
// matrix for queries, keys and values, no gate; matrices are stored as [in, out].

#include <fmt/format.h>

#include "models/config_reader.h"
#include "models/family.h"

namespace evictbench {
namespace {

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(
      json,
      {"n_embd", "n_head", "n_layer", "n_positions", "n_ctx", "n_inner", "activation_function", "layer_norm_epsilon",
       "attn_pdrop", "embd_pdrop", "resid_pdrop", "scale_attn_weights",
       "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn",
       "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
       "task_specific_params"});
  out.hidden = size_at(json, "n_embd", kMostWidth);
  out.layers = size_at(json, "n_layer", kMostLayers);
  out.q_heads = out.kv_heads = size_at(json, "n_head", kMostHeads);
  out.vocabulary = size_at(json, "vocab_size", kMostVocabulary);
  out.max_positions = size_at(json, "n_positions", kMostPositions);
  out.intermediate = json.find("n_inner") ? size_at(json, "n_inner", kMostFeedForward) : 4 * out.hidden;
  out.head_dim = out.hidden / out.q_heads;
  if (out.hidden % out.q_heads != 0 || out.head_dim > kMostHeadDim)
    json.at("n_head").reject("05", fmt::format("{} heads do not divide n_embd {}", out.q_heads, out.hidden),
                             "a divisor of n_embd", "correct one of the two");
  out.norm = DecoderConfig::Norm::kLayer;
  out.norm_eps = json.at("layer_norm_epsilon").number(1e-30, 0.1);
  read_activation(json, "activation_function", {"gelu_new", "gelu_pytorch_tanh"}, Activation::kGelu, out);
  if (json.has("scale_attn_weights") && !flag_at(json, "scale_attn_weights", false))  // a null is false
    json.at("scale_attn_weights").reject("07", "attention without its scale is not supported", "true",
                                         "use a model with scaled attention");
  out.gated = false;
  out.qkv_bias = out.output_bias = out.mlp_bias = true;
  out.forms.resize(static_cast<std::size_t>(out.layers));
  if (flag_at(json, "scale_attn_by_inverse_layer_idx", false))
    for (int l = 0; l < out.layers; ++l) out.forms[static_cast<std::size_t>(l)].query_scale = 1.0 / (l + 1);
  end_config(json, true, out);
  return out;
}

// Files are published with and without "transformer." in front.
WeightNames names(const DecoderConfig&, const TensorFiles& files) {
  const std::string start = files.find("wte.weight") != nullptr ? "" : "transformer.", layer = start + "h.{}.";
  WeightNames n;
  n.embedding = {start + "wte.weight"};
  n.positions = {start + "wpe.weight"};
  n.attention_norm = {layer + "ln_1.weight"};
  n.attention_norm_bias = {layer + "ln_1.bias"};
  n.qkv = {layer + "attn.c_attn.weight"};
  n.qkv_bias = {layer + "attn.c_attn.bias"};
  n.output = {layer + "attn.c_proj.weight"};
  n.output_bias = {layer + "attn.c_proj.bias"};
  n.mlp_norm = {layer + "ln_2.weight"};
  n.mlp_norm_bias = {layer + "ln_2.bias"};
  n.gate_up = {layer + "mlp.c_fc.weight"};
  n.gate_up_bias = {layer + "mlp.c_fc.bias"};
  n.down = {layer + "mlp.c_proj.weight"};
  n.down_bias = {layer + "mlp.c_proj.bias"};
  n.final_norm = {start + "ln_f.weight"};
  n.final_norm_bias = {start + "ln_f.bias"};
  n.head = {"lm_head.weight"};
  n.transposed = true;
  n.ignored = {".attn.bias", ".attn.masked_bias"};  // causal masks
  return n;
}

const int entry = register_family({
    .model_type = "gpt2",
    .summary = "GPT-2",
    .config = config,
    .names = names,
});

}  // namespace
}  // namespace evictbench
