// Phi-3 and 3.5 mini and medium, Phi-4 and Phi-4 mini. Abdin et al. 2024, arXiv:2404.14219. Queries, keys and values lie
// in one matrix, gate and up in another; a head may turn in part; the long-context models use longrope.

#include "models/config_reader.h"
#include "models/family.h"

namespace evictbench {
namespace {

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(json, {"partial_rotary_factor", "original_max_position_embeddings", "embd_pdrop",
                                          "resid_pdrop", "full_attn_mod", "interpolate_factor"});
  read_sizes(json, out);
  read_heads(json, out);
  read_activation(json, "hidden_act", {"silu", "swish"}, Activation::kSilu, out);
  using Kind = RopeConfig::Kind;
  read_rope(json, {.kinds = {Kind::kDefault, Kind::kLongRope}, .partial = true}, out);
  // One inside rope_scaling does not count.
  if (out.ropes.front().kind == Kind::kLongRope) require_keys(json, {"original_max_position_embeddings"});
  read_window(json, out);
  end_config(json, false, out);
  return out;
}

WeightNames names(const DecoderConfig& c, const TensorFiles&) {
  WeightNames n = usual_names(c);
  n.qkv = {"model.layers.{}.self_attn.qkv_proj.weight"};
  n.gate_up = {"model.layers.{}.mlp.gate_up_proj.weight"};
  return n;
}

const int entry = register_family({
    .model_type = "phi3",
    .summary = "Phi-3, 3.5, Phi-4, Phi-4 mini (longrope)",
    .config = config,
    .names = names,
});

}  // namespace
}  // namespace evictbench
