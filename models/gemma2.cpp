// Gemma 2. Riviere et al. 2024, arXiv:2408.00118. Local and global layers alternate; logits of attention and head are
// capped.

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
  require_keys(json, {"attn_logit_softcapping", "final_logit_softcapping"});  // transformers would take 50 and 30
  read_gemma(json, 2, out);
  read_rope(json, {}, out);
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
}  // namespace evictbench
