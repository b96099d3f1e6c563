#include "models/weights.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "core/error.h"

namespace evictbench {

std::vector<float> Weight::widened() const {
  std::vector<float> out(bytes.size() / size_of(dtype));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (size_of(dtype) == 4) {
      std::memcpy(&out[i], bytes.data() + i * 4, 4);
    } else {
      std::uint16_t half = 0;
      std::memcpy(&half, bytes.data() + i * 2, 2);
      out[i] = dtype == DType::kBF16 ? bf16_to_f32(half) : f16_to_f32(half);
    }
  }
  return out;
}

Weight transposed(const Weight& weight) {
  const auto rows = static_cast<std::size_t>(weight.shape.at(0)),
             columns = static_cast<std::size_t>(weight.shape.at(1)), size = size_of(weight.dtype);
  Weight out{weight.dtype, {weight.shape[1], weight.shape[0]}, std::vector<std::byte>(weight.bytes.size())};
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      std::memcpy(out.bytes.data() + (c * rows + r) * size, weight.bytes.data() + (r * columns + c) * size, size);
  return out;
}

WeightRowReader rows_of(Weight weight) {
  const auto kept = std::make_shared<const Weight>(std::move(weight));
  const std::size_t row_bytes = static_cast<std::size_t>(kept->shape.at(1)) * size_of(kept->dtype);
  return {kept->dtype, kept->shape[0], kept->shape[1], [kept, row_bytes](int first, std::span<std::byte> to) {
            std::memcpy(to.data(), kept->bytes.data() + static_cast<std::size_t>(first) * row_bytes, to.size());
          }};
}

bool WeightNames::ignores(std::string_view tensor) const {
  return std::ranges::any_of(ignored, [&](const std::string& end) { return tensor.ends_with(end); });
}

WeightNames usual_names(const DecoderConfig& c) {
  using Parts = WeightNames::Parts;
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.", mlp = layer + "mlp.";
  const auto if_so = [](bool so, Parts parts) { return so ? std::move(parts) : Parts{}; };
  WeightNames n;
  n.embedding = {"model.embed_tokens.weight"};
  n.attention_norm = {layer + "input_layernorm.weight"};
  n.qkv = {attention + "q_proj.weight", attention + "k_proj.weight", attention + "v_proj.weight"};
  n.qkv_bias = if_so(c.qkv_bias, {attention + "q_proj.bias", attention + "k_proj.bias", attention + "v_proj.bias"});
  n.query_norm = if_so(c.head_norms, {attention + "q_norm.weight"});
  n.key_norm = if_so(c.head_norms, {attention + "k_norm.weight"});
  n.output = {attention + "o_proj.weight"};
  n.output_bias = if_so(c.output_bias, {attention + "o_proj.bias"});
  n.attention_post_norm = if_so(c.post_norms, {layer + "post_attention_layernorm.weight"});
  n.mlp_norm = {layer + (c.post_norms ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight")};
  n.mlp_post_norm = if_so(c.post_norms, {layer + "post_feedforward_layernorm.weight"});
  n.gate_up = {mlp + "gate_proj.weight", mlp + "up_proj.weight"};
  n.gate_up_bias = if_so(c.mlp_bias, {mlp + "gate_proj.bias", mlp + "up_proj.bias"});
  n.down = {mlp + "down_proj.weight"};
  n.down_bias = if_so(c.mlp_bias, {mlp + "down_proj.bias"});
  n.final_norm = {"model.norm.weight"};
  n.head = {"lm_head.weight"};
  n.ignored = {"self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"};
  return n;
}

std::string layer_name(const std::string& pattern, int layer) {
  std::string name = pattern;
  const auto at = name.find("{}");
  require(at != std::string::npos, "weights: a layer's name without {}");
  return name.replace(at, 2, std::to_string(layer));
}

}  // namespace evictbench
