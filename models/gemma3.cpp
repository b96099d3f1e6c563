// Gemma 3, text models (270M, 1B). Gemma Team 2025, arXiv:2503.19786. As Gemma 2, with norms of query and key heads in
// place of caps; layers that slide turn by a base of their own.

#include "models/config_reader.h"
#include "models/family.h"
#include "models/gemma.h"

namespace evictbench {
namespace {

// rope_local_base_freq, rope_theta and rope_scaling, or both schemes in rope_parameters.
void read_two_ropes(const Json& json, DecoderConfig& out) {
  using Kind = RopeConfig::Kind;
  const RopeRules rules{.kinds = {Kind::kDefault, Kind::kLinear, Kind::kLlama3}};
  RopeConfig full, local;
  full.dim = local.dim = out.head_dim;
  if (const auto both = json.find("rope_parameters")) {
    const Json of_full = both->at("full_attention"), of_local = both->at("sliding_attention");
    full = read_rope_block(json, of_full, true, rules, out);
    local = read_rope_block(json, of_local, true, rules, out);
    full.theta = theta_of(of_full.at("rope_theta"));
    local.theta = theta_of(of_local.at("rope_theta"));
    if (json.find("rope_scaling"))
      both->reject("06", "rope_parameters and rope_scaling", "one of them", "take the wrong one out");
  } else {
    if (const auto scaling = json.find("rope_scaling")) {
      scaling->at("rope_type");  // transformers passes over one called "type" here
      full = read_rope_block(json, *scaling, false, rules, out);
      if (const auto theta = scaling->find("rope_theta"); theta && theta_of(*theta) != theta_of(json.at("rope_theta")))
        theta->reject("06", "rope_theta differs from the one outside", "one value", "take the wrong one out");
    }
    full.theta = theta_of(json.at("rope_theta"));
    local.theta = theta_of(json.at("rope_local_base_freq"));
  }
  out.ropes = {full, local};
  for (LayerForm& form : out.forms) form.rope = form.window > 0 ? 1 : 0;
}

DecoderConfig config(const Json& json) {
  DecoderConfig out = begin_config(
      json, {"attention_bias", "final_logit_softcapping", "query_pre_attn_scalar", "hidden_activation",
             "cache_implementation", "rope_local_base_freq", "sliding_window_pattern", "_sliding_window_pattern"});
  constexpr int kTransformersDefault = 6;
  const bool has_pattern = json.find("sliding_window_pattern").has_value();
  read_gemma(json, has_pattern ? size_at(json, "sliding_window_pattern", kMostLayers) : kTransformersDefault, out);
  if (!has_pattern && !json.find("layer_types"))
    out.notes.push_back("sliding_window_pattern is absent: 6, as transformers has it");
  read_two_ropes(json, out);
  out.head_norms = true;
  if (const auto cap = json.find("final_logit_softcapping")) out.logit_softcap = cap->number(1e-3, 1e6);
  end_config(json, true, out);
  return out;
}

const int entry = register_family({
    .model_type = "gemma3_text",
    .summary = "Gemma 3 (text models)",
    .config = config,
    .names = [](const DecoderConfig& c, const TensorFiles&) { return usual_names(c); },
});

}  // namespace
}  // namespace evictbench
