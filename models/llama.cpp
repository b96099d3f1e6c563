// Llama 2, 3, 3.1 and 3.2, and every checkpoint that says it is one (SmolLM2, TinyLlama, ...).
// Touvron et al. 2023, arXiv:2307.09288; Dubey et al. 2024, arXiv:2407.21783.

#include "models/family.h"
#include "models/weights_check.h"

namespace evictbench {
namespace {

const int entry = register_family({
    .model_type = "llama",
    .summary = "Llama 2, 3, 3.1, 3.2 (rope_scaling llama3), SmolLM2, TinyLlama",
    .config = read_config,
    .names = {.embedding = "model.embed_tokens.weight",
              .final_norm = "model.norm.weight",
              .head = "lm_head.weight",
              .attention_norm = "model.layers.{}.input_layernorm.weight",
              .query = "model.layers.{}.self_attn.q_proj.weight",
              .key = "model.layers.{}.self_attn.k_proj.weight",
              .value = "model.layers.{}.self_attn.v_proj.weight",
              .output = "model.layers.{}.self_attn.o_proj.weight",
              .mlp_norm = "model.layers.{}.post_attention_layernorm.weight",
              .gate = "model.layers.{}.mlp.gate_proj.weight",
              .up = "model.layers.{}.mlp.up_proj.weight",
              .down = "model.layers.{}.mlp.down_proj.weight"},
    .check = check_llama_weights,
});

}  // namespace
}  // namespace evictbench
