#include "models/weights_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>

#include "models/weights.h"

namespace evictbench {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
constexpr std::string_view kLayerPrefix = "model.layers.";

// A dim of a weight: its name in config.json, and its value.
enum class Dim { kC, kF, kV, kHD, kGD };
struct Rule {
  const char* name;  // {} stands for the layer
  std::vector<Dim> shape;
};
const std::vector<Rule>& rules() {
  static const std::vector<Rule> kRules = {
      {kEmbedding, {Dim::kV, Dim::kC}},
      {"model.layers.{}.input_layernorm.weight", {Dim::kC}},
      {"model.layers.{}.self_attn.q_proj.weight", {Dim::kHD, Dim::kC}},
      {"model.layers.{}.self_attn.k_proj.weight", {Dim::kGD, Dim::kC}},
      {"model.layers.{}.self_attn.v_proj.weight", {Dim::kGD, Dim::kC}},
      {"model.layers.{}.self_attn.o_proj.weight", {Dim::kC, Dim::kHD}},
      {"model.layers.{}.post_attention_layernorm.weight", {Dim::kC}},
      {"model.layers.{}.mlp.gate_proj.weight", {Dim::kF, Dim::kC}},
      {"model.layers.{}.mlp.up_proj.weight", {Dim::kF, Dim::kC}},
      {"model.layers.{}.mlp.down_proj.weight", {Dim::kC, Dim::kF}},
      {"model.norm.weight", {Dim::kC}},
      {kHead, {Dim::kV, Dim::kC}},
  };
  return kRules;
}

bool is_per_layer(const Rule& rule) { return std::string_view(rule.name).starts_with(kLayerPrefix); }

std::int64_t value_of(Dim dim, const DecoderConfig& c) {
  switch (dim) {
    case Dim::kC:
      return c.hidden;
    case Dim::kF:
      return c.intermediate;
    case Dim::kV:
      return c.vocabulary;
    case Dim::kHD:
      return std::int64_t{c.q_heads} * c.head_dim;
    case Dim::kGD:
      return std::int64_t{c.kv_heads} * c.head_dim;
  }
  return 0;
}

std::string origin_of(Dim dim, const DecoderConfig& c) {
  switch (dim) {
    case Dim::kC:
      return "hidden_size";
    case Dim::kF:
      return "intermediate_size";
    case Dim::kV:
      return "vocab_size";
    case Dim::kHD:
      return fmt::format("num_attention_heads {} x head_dim {}", c.q_heads, c.head_dim);
    case Dim::kGD:
      return fmt::format("num_key_value_heads {} x head_dim {}", c.kv_heads, c.head_dim);
  }
  return "";
}

[[noreturn]] void refuse(const char* code, const std::string& file, const std::string& tensor,
                         const std::string& found, const std::string& expected, const std::string& mend) {
  reject(Exit::kInput, {std::string("E-ST-") + code, file, printable(tensor, 200), found, expected, mend});
}

// The layer in "model.layers.12.mlp..", if the name has that form.
std::optional<std::int64_t> layer_of(std::string_view name) {
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  name.remove_prefix(kLayerPrefix.size());
  std::int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const auto digits = static_cast<std::size_t>(end - name.data());
  const bool canonical = error == std::errc() && (digits == 1 || name[0] != '0') && layer >= 0;
  if (!canonical || digits >= name.size() || name[digits] != '.') return std::nullopt;
  return layer;
}

// "model.layers.12.mlp.up_proj.weight" -> "model.layers.{}.mlp.up_proj.weight"
std::string pattern_of(const std::string& name) {
  if (!layer_of(name)) return name;
  return std::string(kLayerPrefix) + "{}" + name.substr(name.find('.', kLayerPrefix.size()));
}

// What adapters and quantised checkpoints add, and what to do about it.
void refuse_foreign(const std::string& name, const StoredTensor& tensor) {
  struct Foreign {
    const char *part, *what, *mend;
  };
  static constexpr const char* kMerge =
      "merge the adapter into its base model (merge_and_unload) and save that";
  static constexpr const char* kDequantise = "use the checkpoint that was quantised, or dequantise it";
  static constexpr Foreign kForeign[] = {
      {"lora_", "part of a LoRA adapter", kMerge},
      {"modules_to_save", "part of an adapter", kMerge},
      {"base_layer", "part of an adapter", kMerge},
      {".qweight", "a quantised weight", kDequantise},
      {".qzeros", "part of a quantised weight", kDequantise},
      {".scales", "part of a quantised weight", kDequantise},
      {".g_idx", "part of a quantised weight", kDequantise},
      {"_scale", "the scale of a quantised weight", kDequantise},
      {"weight_packed", "a quantised weight", kDequantise},
      {".absmax", "part of a quantised weight", kDequantise},
      {".SCB", "part of a quantised weight", kDequantise},
      {".bias", "a bias, which is not supported", "use a model of the plain Llama kind"},
  };
  for (const auto& [part, what, mend] : kForeign)
    if (name.find(part) != name.npos)
      refuse("34", tensor.file, name, std::string("an unexpected tensor: ") + what,
             "the tensors of a Llama decoder", mend);
}

void refuse_unknown(const SafetensorsFolder& weights) {
  std::vector<std::string> known;
  for (const Rule& rule : rules()) known.push_back(rule.name);
  for (const auto& [name, tensor] : weights.tensors()) {
    const std::string pattern = pattern_of(name);
    if (name.ends_with("rotary_emb.inv_freq") ||
        std::find(known.begin(), known.end(), pattern) != known.end())
      continue;
    const std::string near = nearest(pattern, known);
    refuse("34", tensor.file, name, "an unexpected tensor", "the tensors of a Llama decoder",
           near.empty() ? "use a model of the plain Llama kind" : fmt::format("is it meant to be {}?", near));
  }
}

std::string nearest_present(const SafetensorsFolder& weights, const std::string& name) {
  constexpr std::size_t kShown = 3, kLooked = 4096;  // names compared: an error must come soon
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const auto& [present, tensor] : weights.tensors()) {
    if (near.size() == kLooked) break;
    near.emplace_back(edit_distance(name, present), present);
  }
  const std::size_t shown = std::min(kShown, near.size());
  std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(shown), near.end());
  std::vector<std::string> names;
  for (std::size_t i = 0; i < shown; ++i) names.push_back(printable(near[i].second));
  return fmt::format("{}", fmt::join(names, ", "));
}

[[noreturn]] void refuse_absent(const SafetensorsFolder& weights, const std::string& name) {
  const std::string bare = name.starts_with("model.") ? name.substr(6) : name;
  std::string mend = "fetch the model again, or correct config.json";
  for (const char* prefix :
       {"", "transformer.", "base_model.model.model.", "model.language_model.", "model.model."})
    if (prefix + bare != name && weights.find(prefix + bare) != nullptr)
      mend =
          fmt::format("rename the tensors: this file has the prefix \"{}\" in place of \"model.\"", prefix);
  if (name == kHead)
    mend =
        "if the head is the embedding table, say \"tie_word_embeddings\": true in config.json; else fetch "
        "the model again";
  refuse("30", weights.folder(), name,
         fmt::format("the tensor is absent; nearest are {}", nearest_present(weights, name)),
         "a tensor of this name", mend);
}

// What a weight of the wrong shape tells about a config that is wrong.
std::string shape_hint(const Rule& rule, const StoredTensor& tensor,
                       const std::vector<std::int64_t>& expected, const DecoderConfig& c) {
  const auto& shape = tensor.shape;
  if (shape.size() == expected.size() && shape.size() == 2) {
    const std::size_t heads_at = rule.shape[0] == Dim::kHD || rule.shape[0] == Dim::kGD ? 0 : 1;
    const bool has_heads = rule.shape[heads_at] == Dim::kHD || rule.shape[heads_at] == Dim::kGD;
    const std::int64_t rows = shape[heads_at],
                       heads = rule.shape[heads_at] == Dim::kGD ? c.kv_heads : c.q_heads;
    const bool rest_fits = shape[1 - heads_at] == expected[1 - heads_at];
    if (has_heads && rest_fits && rule.shape[heads_at] == Dim::kGD && rows % c.head_dim == 0 && rows > 0)
      return fmt::format("the file fits \"num_key_value_heads\": {}; correct config.json", rows / c.head_dim);
    if (has_heads && rest_fits && rows % heads == 0 && rows > 0)
      return fmt::format("config.json says head_dim={}, but the file fits {}: set \"head_dim\": {}",
                         c.head_dim, rows / heads, rows / heads);
    if (shape[0] == expected[1] && shape[1] == expected[0])
      return "the weight is transposed; write it as [out, in]";
  }
  return "config.json and weights are of different models; fetch both from one place";
}

void check_shape(const std::string& name, const Rule& rule, const StoredTensor& tensor,
                 const DecoderConfig& config) {
  std::vector<std::int64_t> expected;
  std::vector<std::string> origins;
  for (const Dim dim : rule.shape) {
    expected.push_back(value_of(dim, config));
    origins.push_back(origin_of(dim, config));
  }
  if (tensor.shape == expected) return;
  refuse("31", tensor.file, name, "shape " + tensor.shape_text(),
         fmt::format("[{}] ({})", fmt::join(expected, ", "), fmt::join(origins, ", ")),
         shape_hint(rule, tensor, expected, config));
}

void check_layer_count(const SafetensorsFolder& weights, const DecoderConfig& config) {
  std::int64_t most = -1;
  for (const auto& [name, tensor] : weights.tensors())
    if (!name.ends_with("rotary_emb.inv_freq")) most = std::max(most, layer_of(name).value_or(-1));
  if (most < 0 || most + 1 == config.layers) return;
  refuse("32", weights.folder(), "", fmt::format("layers 0 to {}", most),
         fmt::format("layers 0 to {} (num_hidden_layers {})", config.layers - 1, config.layers),
         most + 1 > config.layers ? "correct num_hidden_layers"
                                  : "fetch the missing layers, or correct num_hidden_layers");
}

// transformers ignores a stored head where embeddings are tied; if it differs, one of the two is a mistake.
void check_tied_head(const SafetensorsFolder& weights) {
  const StoredTensor *head = weights.find(kHead), *embedding = weights.find(kEmbedding);
  if (head == nullptr) return;
  std::vector<std::byte> a(embedding->bytes), b(head->bytes);
  weights.read(kEmbedding, a);
  weights.read(kHead, b);
  if (a != b || head->dtype != embedding->dtype)
    refuse("30", head->file, kHead,
           "differs from the embedding table, but config.json ties the two (tie_word_embeddings)",
           "equal tables, or \"tie_word_embeddings\": false", "find out which of the two this model means");
}

}  // namespace

void check_llama_weights(const SafetensorsFolder& weights, const DecoderConfig& config) {
  for (const auto& [name, tensor] : weights.tensors()) refuse_foreign(name, tensor);
  check_layer_count(weights, config);
  for (const Rule& rule : rules()) {
    const int layers = is_per_layer(rule) ? config.layers : 1;
    for (int layer = 0; layer < layers; ++layer) {
      const std::string name = fmt::format(fmt::runtime(rule.name), layer);
      const StoredTensor* tensor = weights.find(name);
      if (tensor != nullptr)
        check_shape(name, rule, *tensor, config);
      else if (name != kHead || !config.tied_embeddings)
        refuse_absent(weights, name);
    }
  }
  refuse_unknown(weights);
  if (config.tied_embeddings) check_tied_head(weights);
}

void check_finite(const SafetensorsFolder& weights) {
  for (const auto& [name, tensor] : weights.tensors()) {
    Weight weight{tensor.dtype, {}, std::vector<std::byte>(tensor.bytes)};
    weights.read(name, weight.bytes);
    const std::vector<float> values = weight.widened();
    const auto finite = [](float x) { return std::isfinite(x); };
    const auto first = std::ranges::find_if_not(values, finite);
    if (first == values.end()) continue;
    refuse(
        "26", tensor.file, name,
        fmt::format("{} at index {} of {} (row-major), {} such values in all", *first, first - values.begin(),
                    tensor.shape_text(), std::ranges::count_if(values, std::not_fn(finite))),
        "finite weights", "fetch the file again; if it was trained so, the checkpoint is broken");
  }
}

}  // namespace evictbench
