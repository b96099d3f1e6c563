#pragma once

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "models/config.h"
#include "models/weights.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/tiny_tokenizer.h"

namespace evictbench {

struct RandomShape {
  int layers = 2, q_heads = 4, kv_heads = 2, head_dim = 8, hidden = 24, intermediate = 40, vocabulary = 262;
  bool tied = true;
  double theta = 10000;
};

// Ids that every such model knows whose vocabulary is not made smaller.
inline Tokens some_tokens(int n) {
  Tokens tokens;
  for (int i = 0; i < n; ++i) tokens.push_back((i * 7 + i * i) % RandomShape{}.vocabulary);
  return tokens;
}

inline DecoderConfig config_of(const RandomShape& s) {
  DecoderConfig c;
  c.model_type = "llama";
  c.layers = s.layers;
  c.hidden = s.hidden;
  c.intermediate = s.intermediate;
  c.q_heads = s.q_heads;
  c.kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  c.vocabulary = s.vocabulary;
  c.max_positions = 4096;
  c.norm_eps = 1e-5;
  RopeConfig& rope = c.ropes.emplace_back();
  rope.theta = s.theta;
  rope.dim = s.head_dim;
  c.forms.resize(static_cast<std::size_t>(s.layers));
  c.tied_embeddings = s.tied;
  return c;
}

// Seeded weights, every value a small multiple of 1/1024, so that they are the same everywhere and fit bf16 and f16.
class RandomWeights final : public WeightSource {
 public:
  RandomWeights(const RandomShape& shape, unsigned seed, DType dtype = DType::kF32) : dtype_(dtype) {
    const int Q = shape.q_heads * shape.head_dim, KV = shape.kv_heads * shape.head_dim, C = shape.hidden,
              F = shape.intermediate;
    const WeightNames names = usual_names(config_of(shape));
    add(names.embedding[0], {shape.vocabulary, C}, seed);
    if (!shape.tied) add(names.head[0], {shape.vocabulary, C}, seed);
    add(names.final_norm[0], {C}, seed);
    for (int l = 0; l < shape.layers; ++l) {
      const auto layer = [&](const std::string& pattern, std::vector<int> dims) {
        add(layer_name(pattern, l), std::move(dims), seed);
      };
      layer(names.attention_norm[0], {C});
      layer(names.qkv[0], {Q, C});
      layer(names.qkv[1], {KV, C});
      layer(names.qkv[2], {KV, C});
      layer(names.output[0], {C, Q});
      layer(names.mlp_norm[0], {C});
      layer(names.gate_up[0], {F, C});
      layer(names.gate_up[1], {F, C});
      layer(names.down[0], {C, F});
    }
  }

  Weight load(const std::string& name) const override { return weights_.at(name); }
  const std::map<std::string, Weight>& all() const { return weights_; }

 private:
  void add(const std::string& name, std::vector<int> dims, unsigned seed) {
    std::seed_seq mixed{seed, static_cast<unsigned>(weights_.size())};
    std::mt19937 rng(mixed);
    const bool norm = dims.size() == 1, table = name.find("embed") != std::string::npos;
    std::size_t count = 1;
    for (const int d : dims) count *= static_cast<std::size_t>(d);
    // Matrices keep the size of what passes through them; a norm is near 1.
    const float scale = norm ? 0.125f : table ? 1.0f : 1.5f / std::sqrt(static_cast<float>(dims[1]));
    Weight weight{dtype_, std::move(dims), std::vector<std::byte>(count * size_of(dtype_))};
    for (std::size_t i = 0; i < count; ++i) {
      const float unit = (static_cast<float>(rng() % 255) - 127) / 128;
      const float value = bf16_to_f32(f32_to_bf16((norm ? 1.0f : 0.0f) + unit * scale));
      if (dtype_ == DType::kF32) {
        std::memcpy(weight.bytes.data() + i * 4, &value, 4);
      } else {
        const std::uint16_t half = dtype_ == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
        std::memcpy(weight.bytes.data() + i * 2, &half, 2);
      }
    }
    weights_.emplace(name, std::move(weight));
  }

  DType dtype_;
  std::map<std::string, Weight> weights_;
};

// The same decoder as a Hugging Face folder with a byte-level tokenizer of 262 ids; id 261 ends an answer.
inline void write_random_checkpoint(const std::string& folder, const RandomShape& shape, unsigned seed) {
  const RandomWeights weights(shape, seed, DType::kBF16);
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, weight] : weights.all())
    tensors.push_back({name, weight.dtype,
                       std::vector<std::int64_t>(weight.shape.begin(), weight.shape.end()),
                       std::string(reinterpret_cast<const char*>(weight.bytes.data()), weight.bytes.size())});
  const nlohmann::ordered_json config{{"architectures", {"LlamaForCausalLM"}},
                                      {"model_type", "llama"},
                                      {"hidden_act", "silu"},
                                      {"attention_bias", false},
                                      {"mlp_bias", false},
                                      {"hidden_size", shape.hidden},
                                      {"intermediate_size", shape.intermediate},
                                      {"num_hidden_layers", shape.layers},
                                      {"num_attention_heads", shape.q_heads},
                                      {"num_key_value_heads", shape.kv_heads},
                                      {"head_dim", shape.head_dim},
                                      {"vocab_size", shape.vocabulary},
                                      {"max_position_embeddings", 4096},
                                      {"rms_norm_eps", 1e-5},
                                      {"rope_theta", shape.theta},
                                      {"tie_word_embeddings", shape.tied},
                                      {"bos_token_id", 0},
                                      {"eos_token_id", 261},
                                      {"torch_dtype", "bfloat16"}};
  const auto write = [&](const char* name, const std::string& content) {
    std::ofstream(folder + "/" + name, std::ios::binary) << content;
  };
  write("config.json", config.dump(1));
  write("tokenizer.json", tiny_tokenizer_json().dump());
  write("model.safetensors", safetensors_bytes(tensors));
}

}  // namespace evictbench
