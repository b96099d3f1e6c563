#include "models/weights_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/error.h"

namespace evictbench {
namespace {

// A dim of a weight: its size, and where that comes from.
struct Dim {
  std::int64_t size;
  std::string origin;
};

enum class Heads { kNone, kQuery, kKey };  // of which the rows (or, of the output, the columns) are made
struct Rule {
  std::string name;  // {} stands for the layer
  std::vector<Dim> shape;
  Heads heads = Heads::kNone;

  bool is_per_layer() const { return name.find("{}") != name.npos; }
};

// The rules of a matrix [rows, columns] in parts, or of its bias.
class Rules {
 public:
  Rules(const WeightNames& names, const DecoderConfig& config) : transposed_(names.transposed) {
    add(names, config);
  }

  const std::vector<Rule>& all() const { return rules_; }

 private:
  void vector(const WeightNames::Parts& parts, const Dim& dim) {
    for (const std::string& name : parts) rules_.push_back({name, {dim}});
  }
  void table(const WeightNames::Parts& parts, const Dim& rows, const Dim& columns) {
    for (const std::string& name : parts) rules_.push_back({name, {rows, columns}});
  }
  void matrix(const std::string& name, const Dim& rows, const Dim& columns, Heads heads = Heads::kNone) {
    rules_.push_back({name, transposed_ ? std::vector{columns, rows} : std::vector{rows, columns}, heads});
  }
  void add(const WeightNames& n, const DecoderConfig& c) {
    const Dim C{c.hidden, "hidden_size"}, F{c.intermediate, "intermediate_size"},
        V{c.vocabulary, "vocab_size"}, D{c.head_dim, "head_dim"},
        P{c.max_positions, "max_position_embeddings"},
        HD{std::int64_t{c.q_heads} * c.head_dim,
           fmt::format("num_attention_heads {} x head_dim {}", c.q_heads, c.head_dim)},
        GD{std::int64_t{c.kv_heads} * c.head_dim,
           fmt::format("num_key_value_heads {} x head_dim {}", c.kv_heads, c.head_dim)},
        QKV{HD.size + 2 * GD.size,
            fmt::format("(num_attention_heads {} + 2 x num_key_value_heads {}) x head_dim {}", c.q_heads,
                        c.kv_heads, c.head_dim)},
        F2{2 * F.size, "2 x intermediate_size"};
    table(n.embedding, V, C);
    table(n.positions, P, C);
    for (const auto* parts : {&n.attention_norm, &n.attention_norm_bias, &n.attention_post_norm})
      vector(*parts, C);
    for (std::size_t i = 0; i < n.qkv.size(); ++i)
      matrix(n.qkv[i],
             n.qkv.size() == 1 ? QKV
             : i == 0          ? HD
                               : GD,
             C,
             n.qkv.size() == 1 ? Heads::kNone
             : i == 0          ? Heads::kQuery
                               : Heads::kKey);
    for (std::size_t i = 0; i < n.qkv_bias.size(); ++i)
      vector({n.qkv_bias[i]}, n.qkv_bias.size() == 1 ? QKV : i == 0 ? HD : GD);
    vector(n.query_norm, D);
    vector(n.key_norm, D);
    for (const std::string& name : n.output) matrix(name, C, HD, Heads::kQuery);
    vector(n.output_bias, C);
    for (const auto* parts : {&n.mlp_norm, &n.mlp_norm_bias, &n.mlp_post_norm}) vector(*parts, C);
    const Dim& wide = c.gated && n.gate_up.size() == 1 ? F2 : F;
    for (const std::string& name : n.gate_up) matrix(name, wide, C);
    vector(n.gate_up_bias, wide);
    for (const std::string& name : n.down) matrix(name, C, F);
    vector(n.down_bias, C);
    for (const auto* parts : {&n.final_norm, &n.final_norm_bias}) vector(*parts, C);
    table(n.head, V, C);
  }

  bool transposed_;
  std::vector<Rule> rules_;
};

[[noreturn]] void refuse(const char* code, const std::string& file, const std::string& tensor,
                         const std::string& found, const std::string& expected, const std::string& mend) {
  reject(Exit::kInput, {std::string("E-ST-") + code, file, printable(tensor, 200), found, expected, mend});
}

// What stands before the layer's number: "model.layers."
std::string layer_prefix(const WeightNames& names) {
  const std::string& pattern = names.attention_norm.front();
  return pattern.substr(0, pattern.find("{}"));
}

// The layer in "model.layers.12.mlp..", if the name has that form.
std::optional<std::int64_t> layer_of(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const auto digits = static_cast<std::size_t>(end - name.data());
  const bool canonical = error == std::errc() && (digits == 1 || name[0] != '0') && layer >= 0;
  if (!canonical || digits >= name.size() || name[digits] != '.') return std::nullopt;
  return layer;
}

// "model.layers.12.mlp.up_proj.weight" -> "model.layers.{}.mlp.up_proj.weight"
std::string pattern_of(const std::string& name, const std::string& prefix) {
  if (!layer_of(name, prefix)) return name;
  return prefix + "{}" + name.substr(name.find('.', prefix.size()));
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
  };
  for (const auto& [part, what, mend] : kForeign)
    if (name.find(part) != name.npos)
      refuse("34", tensor.file, name, std::string("an unexpected tensor: ") + what,
             "the tensors of this family", mend);
}

void refuse_unknown(const TensorFiles& files, const WeightNames& names, const std::vector<Rule>& rules) {
  std::vector<std::string> known;
  for (const Rule& rule : rules) known.push_back(rule.name);
  const std::string prefix = layer_prefix(names);
  for (const auto& [name, tensor] : files.tensors()) {
    const std::string pattern = pattern_of(name, prefix);
    if (names.ignores(name) || std::ranges::find(known, pattern) != known.end()) continue;
    if (name.ends_with(".bias"))
      refuse("34", tensor.file, name, "an unexpected tensor: a bias that config.json does not ask for",
             "the tensors of this family", "set attention_bias or mlp_bias, or correct model_type");
    const std::string near = nearest(pattern, known);
    refuse("34", tensor.file, name, "an unexpected tensor", "the tensors of this family",
           near.empty() ? "correct model_type or the biases and norms of config.json"
                        : fmt::format("is it meant to be {}?", near));
  }
}

std::string nearest_present(const TensorFiles& files, const std::string& name) {
  constexpr std::size_t kShown = 3, kLooked = 4096;  // names compared: an error must come soon
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const auto& [present, tensor] : files.tensors()) {
    if (near.size() == kLooked) break;
    near.emplace_back(edit_distance(name, present), present);
  }
  const std::size_t shown = std::min(kShown, near.size());
  std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(shown), near.end());
  std::vector<std::string> names;
  for (std::size_t i = 0; i < shown; ++i) names.push_back(printable(near[i].second));
  return fmt::format("{}", fmt::join(names, ", "));
}

[[noreturn]] void refuse_absent(const TensorFiles& files, const std::string& name, bool is_head) {
  const std::string bare = name.starts_with("model.") ? name.substr(6) : name;
  std::string mend = "fetch the model again, or correct config.json";
  for (const char* prefix :
       {"", "transformer.", "base_model.model.model.", "model.language_model.", "model.model."})
    if (prefix + bare != name && files.find(prefix + bare) != nullptr)
      mend =
          fmt::format("rename the tensors: this file has the prefix \"{}\" in place of \"model.\"", prefix);
  if (is_head)
    mend =
        "if the head is the embedding table, say \"tie_word_embeddings\": true in config.json; else fetch "
        "the model again";
  refuse("30", files.path(), name,
         fmt::format("the tensor is absent; nearest are {}", nearest_present(files, name)),
         "a tensor of this name", mend);
}

// What a weight of the wrong shape tells about a config that is wrong.
std::string shape_hint(const Rule& rule, const StoredTensor& tensor,
                       const std::vector<std::int64_t>& expected, const DecoderConfig& c) {
  const auto& shape = tensor.shape;
  if (shape.size() == expected.size() && shape.size() == 2) {
    const std::size_t heads_at = expected[1] == c.hidden && rule.heads != Heads::kNone ? 0 : 1;
    const std::int64_t rows = shape[heads_at], heads = rule.heads == Heads::kKey ? c.kv_heads : c.q_heads;
    const bool rest_fits =
        rule.heads != Heads::kNone && shape[1 - heads_at] == expected[1 - heads_at] && rows > 0;
    if (rest_fits && rule.heads == Heads::kKey && rows % c.head_dim == 0)
      return fmt::format("the file fits \"num_key_value_heads\": {}; correct config.json", rows / c.head_dim);
    if (rest_fits && rows % heads == 0)
      return fmt::format("config.json says head_dim={}, but the file fits {}: set \"head_dim\": {}",
                         c.head_dim, rows / heads, rows / heads);
    if (shape[0] == expected[1] && shape[1] == expected[0]) return "the weight is transposed";
  }
  return "config.json and weights are of different models; fetch both from one place";
}

void check_shape(const std::string& name, const Rule& rule, const StoredTensor& tensor,
                 const DecoderConfig& config) {
  std::vector<std::int64_t> expected;
  std::vector<std::string> origins;
  for (const Dim& dim : rule.shape) {
    expected.push_back(dim.size);
    origins.push_back(dim.origin);
  }
  if (tensor.shape == expected) return;
  refuse("31", tensor.file, name, "shape " + tensor.shape_text(),
         fmt::format("[{}] ({})", fmt::join(expected, ", "), fmt::join(origins, ", ")),
         shape_hint(rule, tensor, expected, config));
}

void check_layer_count(const TensorFiles& files, const WeightNames& names, const DecoderConfig& config) {
  std::int64_t most = -1;
  const std::string prefix = layer_prefix(names);
  for (const auto& [name, tensor] : files.tensors())
    if (!names.ignores(name)) most = std::max(most, layer_of(name, prefix).value_or(-1));
  if (most < 0 || most + 1 == config.layers) return;
  refuse("32", files.path(), "", fmt::format("layers 0 to {}", most),
         fmt::format("layers 0 to {} (num_hidden_layers {})", config.layers - 1, config.layers),
         most + 1 > config.layers ? "correct num_hidden_layers"
                                  : "fetch the missing layers, or correct num_hidden_layers");
}

// Two tensors of two dims, equal in shape and dtype, byte for byte; a few rows at a time.
bool equal_rows(const TensorFiles& files, const std::string& name, const std::string& other) {
  constexpr std::uint64_t kPieceBytes = 1 << 20;
  const StoredTensor& tensor = *files.find(name);
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(tensor.shape[1]) * size_of(tensor.dtype);
  const auto step = static_cast<std::int64_t>(
      std::max<std::uint64_t>(1, kPieceBytes / std::max<std::uint64_t>(1, row_bytes)));
  std::vector<std::byte> a, b;
  for (std::int64_t row = 0; row < tensor.shape[0]; row += step) {
    a.resize(static_cast<std::uint64_t>(std::min(step, tensor.shape[0] - row)) * row_bytes);
    b.resize(a.size());
    files.read_rows(name, row, a);
    files.read_rows(other, row, b);
    if (a != b) return false;
  }
  return true;
}

// transformers ignores a stored head where embeddings are tied; if it differs, one of the two is a mistake.
void check_tied_head(const TensorFiles& files, const WeightNames& names) {
  const StoredTensor *head = files.find(names.head.front()), *embedding = files.find(names.embedding.front());
  if (head == nullptr) return;
  if (head->dtype != embedding->dtype || !equal_rows(files, names.head.front(), names.embedding.front()))
    refuse("30", head->file, names.head.front(),
           "differs from the embedding table, but config.json ties the two (tie_word_embeddings)",
           "equal tables, or \"tie_word_embeddings\": false", "find out which of the two this model means");
}

}  // namespace

void check_tensors(const TensorFiles& files, const WeightNames& names, const DecoderConfig& config) {
  for (const auto& [name, tensor] : files.tensors()) refuse_foreign(name, tensor);
  check_layer_count(files, names, config);
  const std::vector<Rule> rules = Rules(names, config).all();
  for (const Rule& rule : rules) {
    const int layers = rule.is_per_layer() ? config.layers : 1;
    for (int layer = 0; layer < layers; ++layer) {
      const std::string name = fmt::format(fmt::runtime(rule.name), layer);
      const StoredTensor* tensor = files.find(name);
      const bool is_head = name == names.head.front();
      if (tensor != nullptr)
        check_shape(name, rule, *tensor, config);
      else if (!is_head || !config.tied_embeddings)
        refuse_absent(files, name, is_head);
    }
  }
  refuse_unknown(files, names, rules);
  if (config.tied_embeddings) check_tied_head(files, names);
}

std::vector<WeightShape> weight_shapes(const WeightNames& names, const DecoderConfig& config) {
  const std::vector<Rule> rules = Rules(names, config).all();
  std::vector<WeightShape> shapes;
  for (const Rule& rule : rules) {
    if (config.tied_embeddings && rule.name == names.head.front()) continue;
    WeightShape& shape = shapes.emplace_back(WeightShape{rule.name, {}, rule.is_per_layer()});
    for (const Dim& dim : rule.shape) shape.dims.push_back(dim.size);
  }
  return shapes;
}

}  // namespace evictbench
