// Are the tolerances of goldens_test.cpp tight enough? Each fault that a decoder or a reader of configs could have is planted
// in a copy of a checkpoint, and must move the logits by ten times what those tests allow.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "models/checkpoint.h"
#include "models/safetensors.h"
#include "models/weights.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

constexpr double kTolerance = 5e-5;  // of sigma, as in goldens_test.cpp

struct Array {
  std::vector<std::int64_t> shape;
  std::vector<float> values;  // row-major

  std::size_t rows() const { return static_cast<std::size_t>(shape[0]); }
  std::size_t columns() const { return values.size() / rows(); }
  float& at(std::size_t row, std::size_t column) { return values[row * columns() + column]; }
  float at(std::size_t row, std::size_t column) const { return values[row * columns() + column]; }
};

// A checkpoint in memory, every weight widened to f32.
struct Copy {
  nlohmann::json config;
  std::map<std::string, Array> weights;

  explicit Copy(const std::string& folder) {
    std::ifstream file(folder + "/config.json");
    config = nlohmann::json::parse(file);
    const SafetensorsFolder stored(folder);
    for (const auto& [name, tensor] : stored.tensors()) {
      Weight weight{tensor.dtype, {}, std::vector<std::byte>(tensor.bytes)};
      stored.read(name, weight.bytes);
      weights.emplace(name, Array{tensor.shape, weight.widened()});
    }
  }

  nlohmann::json& rope() {
    return config.contains("rope_parameters") ? config["rope_parameters"] : config["rope_scaling"];
  }
  Array& weight(const std::string& name) { return weights.at(name); }
  Array& layer(const std::string& name, int l = 0) {
    return weight(fmt::format("model.layers.{}.{}", l, name));
  }
  Array& block(const std::string& name, int l = 0) {
    return weight(fmt::format("transformer.h.{}.{}", l, name));
  }

  void write(const TempFolder& folder) const {
    folder.write("config.json", config.dump(1));
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, array] : weights)
      tensors.push_back(TensorToWrite::f32(name, array.shape, array.values));
    write_safetensors(folder / "model.safetensors", tensors);
  }
};

void fill(Array& array, float value) { std::fill(array.values.begin(), array.values.end(), value); }

void scale(Array& array, float factor) {
  for (float& value : array.values) value *= factor;
}

// Row i of the result is row order[i].
void reorder_rows(Array& array, const std::vector<std::size_t>& order) {
  const Array old = array;
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t c = 0; c < old.columns(); ++c) array.at(i, c) = old.at(order[i], c);
}

void reorder_columns(Array& array, const std::vector<std::size_t>& order) {
  const Array old = array;
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t r = 0; r < old.rows(); ++r) array.at(r, i) = old.at(r, order[i]);
}

void transpose(Array& square) {
  const Array old = square;
  for (std::size_t r = 0; r < old.rows(); ++r)
    for (std::size_t c = 0; c < old.columns(); ++c) square.at(c, r) = old.at(r, c);
}

// 0 .. n - 1 with the runs of `size` that begin at a and b changed places.
std::vector<std::size_t> swapped(std::size_t n, std::size_t a, std::size_t b, std::size_t size) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::swap_ranges(order.begin() + static_cast<std::ptrdiff_t>(a),
                   order.begin() + static_cast<std::ptrdiff_t>(a + size),
                   order.begin() + static_cast<std::ptrdiff_t>(b));
  return order;
}

// Rows of each head from halves to pairs: what a decoder that turns neighbours would see.
std::vector<std::size_t> interleaved(std::size_t n, std::size_t head) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < n; ++i)
    order.push_back(i / head * head + (i % head % 2) * (head / 2) + i % head / 2);
  return order;
}

struct Fault {
  const char* name;
  const char* golden;
  std::function<void(Copy&)> plant;

  friend void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name << " in " << fault.golden; }
};

template <class Value>
std::function<void(Copy&)> set(const char* key, Value value) {
  return [=](Copy& copy) { copy.config.at(key) = value; };
}

template <class Value>
std::function<void(Copy&)> set_rope(const char* key, Value value) {
  return [=](Copy& copy) { copy.rope().at(key) = value; };
}

std::function<void(Copy&)> zero_bias(const char* name) {
  return [=](Copy& copy) { fill(copy.layer(name), 0); };
}

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all = {
      // rotary positions
      {"ThetaByOnePercent", "llama-mha", set_rope("rope_theta", 10100.0)},
      {"LocalThetaByOnePercent", "gemma3-linear-old", set("rope_local_base_freq", 1010.0)},
      {"PairsNotHalves", "llama-mha",
       [](Copy& c) {
         for (const char* name : {"self_attn.q_proj.weight", "self_attn.k_proj.weight"})
           reorder_rows(c.layer(name), interleaved(c.layer(name).rows(), 8));
       }},
      {"LinearFactorByOnePercent", "llama-linear-old", set_rope("factor", 4.04)},
      {"Llama3FactorByOnePercent", "llama-llama3", set_rope("factor", 8.08)},
      {"Llama3LowFrequencyFactor", "llama-llama3", set_rope("low_freq_factor", 1.01)},
      {"Llama3OriginalContext", "llama-llama3-old", set_rope("original_max_position_embeddings", 65)},
      {"DynamicFactorByOnePercent", "llama-dynamic", set_rope("factor", 2.02)},
      {"DynamicContextByOne", "llama-dynamic", set("max_position_embeddings", 97)},
      {"YarnFactorByOnePercent", "llama-yarn", set_rope("factor", 4.04)},
      {"YarnMscaleIgnored", "llama-yarn-mscale", set_rope("mscale", 0.0)},
      {"YarnMscaleByOnePercent", "llama-yarn-mscale", set_rope("mscale", 1.414)},
      {"YarnAttentionFactorByOnePercent", "llama-yarn-attention-factor-old",
       set_rope("attention_factor", 1.313)},
      {"YarnAttentionFactorIgnored", "llama-yarn-attention-factor-old",
       [](Copy& c) { c.rope().erase("attention_factor"); }},
      {"YarnBetaIgnored", "llama-yarn-attention-factor-old", [](Copy& c) { c.rope().erase("beta_fast"); }},
      {"YarnTruncated", "llama-yarn-untruncated", set_rope("truncate", true)},
      {"LongropeAlwaysShort", "phi3-longrope-old",
       [](Copy& c) { c.rope()["long_factor"] = c.rope()["short_factor"]; }},
      {"LongropeAlwaysLong", "phi3-longrope-old",
       [](Copy& c) { c.rope()["short_factor"] = c.rope()["long_factor"]; }},
      {"LongropeFactorByOnePercent", "llama-longrope", set_rope("factor", 8.08)},
      {"LongropeAttentionFactorIgnored", "phi3-longrope-attention-factor",
       [](Copy& c) { c.rope().erase("attention_factor"); }},
      {"WholeHeadTurned", "phi3-partial",
       [](Copy& c) { c.config["partial_rotary_factor"] = c.rope()["partial_rotary_factor"] = 1.0; }},
      {"LocalAndGlobalRopeSwapped", "gemma3",
       [](Copy& c) { std::swap(c.rope()["full_attention"], c.rope()["sliding_attention"]); }},
      {"LearnedPositionsByOne", "gpt2",
       [](Copy& c) {
         Array& table = c.weight("transformer.wpe.weight");
         std::rotate(table.values.begin(),
                     table.values.begin() + static_cast<std::ptrdiff_t>(table.columns()), table.values.end());
       }},
      // windows
      {"WindowOneMore", "mistral-window", set("sliding_window", 25)},
      {"WindowOneLess", "mistral-window", set("sliding_window", 23)},
      {"WindowIgnored", "phi3-window", set("sliding_window", nullptr)},
      {"WindowALayerLate", "qwen2-window",
       [](Copy& c) {
         c.config.erase("layer_types");
         c.config["max_window_layers"] = 2;
       }},
      {"LayerTypesSwapped", "gemma2",
       [](Copy& c) { std::swap(c.config["layer_types"][0], c.config["layer_types"][1]); }},
      // norms
      {"EpsSmaller", "llama-mha", set("rms_norm_eps", 1e-6)},
      {"EpsLarger", "llama-mqa", set("rms_norm_eps", 1e-5)},
      {"LayerNormEpsSmaller", "gpt2", set("layer_norm_epsilon", 1e-6)},
      {"LayerNormBiasMissing", "gpt2", [](Copy& c) { fill(c.block("ln_1.bias"), 0); }},
      {"QueryNormMissing", "qwen3-gqa2", [](Copy& c) { fill(c.layer("self_attn.q_norm.weight"), 1); }},
      {"KeyNormMissing", "gemma3", [](Copy& c) { fill(c.layer("self_attn.k_norm.weight"), 0); }},
      {"NormNotAroundOne", "gemma2",
       [](Copy& c) {
         for (float& w : c.weight("model.norm.weight").values) w -= 1;
       }},
      {"NormsOfAttentionAndMlpSwapped", "gemma2",
       [](Copy& c) {
         std::swap(c.layer("post_attention_layernorm.weight"), c.layer("pre_feedforward_layernorm.weight"));
       }},
      // biases
      {"QueryBiasMissing", "llama-bias", zero_bias("self_attn.q_proj.bias")},
      {"OutputBiasMissing", "llama-bias", zero_bias("self_attn.o_proj.bias")},
      {"DownBiasMissing", "llama-bias", zero_bias("mlp.down_proj.bias")},
      {"KeyBiasMissing", "qwen2-mha", zero_bias("self_attn.k_proj.bias")},
      {"ValueBiasMissing", "qwen2-mha", zero_bias("self_attn.v_proj.bias")},
      {"ProjectionBiasMissing", "gpt2", [](Copy& c) { fill(c.block("mlp.c_proj.bias"), 0); }},
      // projections
      {"GateAndUpSwapped", "llama-mha",
       [](Copy& c) { std::swap(c.layer("mlp.gate_proj.weight"), c.layer("mlp.up_proj.weight")); }},
      {"FusedGateAndUpSwapped", "phi3-partial",
       [](Copy& c) { reorder_rows(c.layer("mlp.gate_up_proj.weight"), swapped(72, 0, 36, 36)); }},
      {"FusedKeyAndValueSwapped", "phi3-partial",
       [](Copy& c) { reorder_rows(c.layer("self_attn.qkv_proj.weight"), swapped(64, 32, 48, 16)); }},
      {"HeadsModuloGroups", "mistral-window",  // query head h reads KV head h mod G, not h div (H / G)
       [](Copy& c) {
         reorder_rows(c.layer("self_attn.q_proj.weight"), swapped(32, 8, 16, 8));
         reorder_columns(c.layer("self_attn.o_proj.weight"), swapped(32, 8, 16, 8));
       }},
      {"ProjectionTransposed", "gpt2", [](Copy& c) { transpose(c.block("attn.c_proj.weight")); }},
      {"HeadTied", "llama-mha",
       [](Copy& c) {
         c.config["tie_word_embeddings"] = true;
         c.weights.erase("lm_head.weight");
       }},
      {"HeadUntied", "gemma2-untied",
       [](Copy& c) { c.weight("lm_head.weight") = c.weight("model.embed_tokens.weight"); }},
      // scales and caps
      {"ScoresByTheHeadSize", "gemma2", set("query_pre_attn_scalar", 12)},
      {"ScoresNotByTheLayer", "gpt2-inverse-layer", set("scale_attn_by_inverse_layer_idx", false)},
      {"ScoresUncapped", "gemma2", set("attn_logit_softcapping", nullptr)},
      {"LogitsUncapped", "gemma3-capped", set("final_logit_softcapping", nullptr)},
      {"EmbeddingUnscaled", "gemma2-untied",
       [](Copy& c) { scale(c.weight("model.embed_tokens.weight"), 1 / std::sqrt(32.0f)); }},
  };
  return all;
}

double worst_of(const Golden& golden, const Copy& copy) {
  const TempFolder folder;
  copy.write(folder);
  const auto model = Checkpoint(folder.path()).load(host());
  LogitError error;
  for (const Golden::Prompt& prompt : golden.prompts)
    error.add(prompt, prefill_all(host(), *model, prompt.ids).logits, golden.vocabulary);
  return error.worst / golden.sigma;
}

class GoldenFaults : public testing::TestWithParam<Fault> {};

INSTANTIATE_TEST_SUITE_P(Planted, GoldenFaults, testing::ValuesIn(faults()),
                         [](const auto& fault) { return std::string(fault.param.name); });

TEST_P(GoldenFaults, MovesTheLogits) {
  const Golden golden = read_golden(GetParam().golden);
  Copy copy(golden.folder);
  EXPECT_LE(worst_of(golden, copy), kTolerance) << "the copy itself is faithful";
  GetParam().plant(copy);
  const double worst = worst_of(golden, copy);
  EXPECT_GE(worst, 10 * kTolerance);
  RecordProperty("worst_sigma", fmt::format("{:.2e}", worst));
  fmt::print("{}: {:.2e} sigma\n", GetParam().name, worst);
}

}  // namespace
}  // namespace evictbench
