#include "models/gguf_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "models/gguf_blocks.h"

namespace evictbench {
namespace {

using Arch = GgufArchitecture;

constexpr std::uint64_t kPiece = 64 << 10;  // bytes of a file that are held while a tensor is read

struct Pair {
  std::string_view gguf, folder;
};
constexpr auto kTop = std::to_array<Pair>(
    {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}});
constexpr auto kLayer = std::to_array<Pair>({{"attn_norm", "input_layernorm"},
                                             {"attn_q", "self_attn.q_proj"},
                                             {"attn_k", "self_attn.k_proj"},
                                             {"attn_v", "self_attn.v_proj"},
                                             {"attn_output", "self_attn.o_proj"},
                                             {"attn_q_norm", "self_attn.q_norm"},
                                             {"attn_k_norm", "self_attn.k_norm"},
                                             {"ffn_norm", "post_attention_layernorm"},
                                             {"ffn_gate", "mlp.gate_proj"},
                                             {"ffn_up", "mlp.up_proj"},
                                             {"ffn_down", "mlp.down_proj"}});
// Where an architecture differs from kLayer.
constexpr auto kPhi3 =
    std::to_array<Pair>({{"attn_qkv", "self_attn.qkv_proj"}, {"ffn_up", "mlp.gate_up_proj"}});
constexpr auto kGemma = std::to_array<Pair>({{"post_attention_norm", "post_attention_layernorm"},
                                             {"ffn_norm", "pre_feedforward_layernorm"},
                                             {"post_ffw_norm", "post_feedforward_layernorm"}});
constexpr auto kGpt2Top = std::to_array<Pair>({{"token_embd", "transformer.wte"},
                                               {"position_embd", "transformer.wpe"},
                                               {"output_norm", "transformer.ln_f"},
                                               {"output", "lm_head"}});
constexpr auto kGpt2Layer = std::to_array<Pair>({{"attn_norm", "ln_1"},
                                                 {"attn_qkv", "attn.c_attn"},
                                                 {"attn_output", "attn.c_proj"},
                                                 {"ffn_norm", "ln_2"},
                                                 {"ffn_up", "mlp.c_fc"},
                                                 {"ffn_down", "mlp.c_proj"}});

std::optional<std::string_view> look_up(std::span<const Pair> pairs, std::string_view name) {
  const auto found = std::ranges::find(pairs, name, &Pair::gguf);
  return found == pairs.end() ? std::nullopt : std::optional(found->folder);
}

std::optional<std::string_view> look_up_layer(Arch architecture, std::string_view name) {
  if (architecture == Arch::kGpt2) return look_up(kGpt2Layer, name);
  std::span<const Pair> own;
  if (architecture == Arch::kPhi3) own = kPhi3;
  if (architecture == Arch::kGemma2 || architecture == Arch::kGemma3) own = kGemma;
  const auto found = look_up(own, name);
  return found ? found : look_up(kLayer, name);
}

// "blk.7.attn_q.weight" in its parts; layer is empty for tensors of the whole model.
struct Parts {
  std::string_view layer, part, kind;  // kind: ".weight", ".bias"
};
Parts parts_of(std::string_view name) {
  Parts parts;
  if (const std::size_t dot = name.rfind('.'); dot != name.npos) {
    parts.kind = name.substr(dot);
    name = name.substr(0, dot);
  }
  constexpr std::string_view kBlock = "blk.";
  if (const std::size_t dot = name.find('.', kBlock.size()); name.starts_with(kBlock) && dot != name.npos) {
    parts.layer = name.substr(kBlock.size(), dot - kBlock.size());
    name = name.substr(dot + 1);
  }
  parts.part = name;
  return parts;
}

// What is not known keeps its name, and is refused for it like an unknown tensor of a folder.
std::string folder_name(Arch architecture, std::string_view name) {
  const auto [layer, part, kind] = parts_of(name);
  const bool gpt2 = architecture == Arch::kGpt2;
  if (layer.empty()) {
    const auto top = gpt2 ? look_up(kGpt2Top, part) : look_up(kTop, part);
    return top ? fmt::format("{}{}", *top, kind) : std::string(name);
  }
  const auto found = look_up_layer(architecture, part);
  return found ? fmt::format("{}.{}.{}{}", gpt2 ? "transformer.h" : "model.layers", layer, *found, kind)
               : std::string(name);
}

// Went into the config.
bool is_rotary(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

std::optional<DType> stored_dtype(const GgufType& type) {
  if (type.name == "F32") return DType::kF32;
  if (type.name == "F16") return DType::kF16;
  if (type.name == "BF16") return DType::kBF16;
  return can_dequantise(type) ? std::optional(DType::kF32) : std::nullopt;
}

// Where row r of a folder stands in a file. Folders have the first elements of a head's rotary pairs, then the second
// ones; files have the two of a pair side by side.
std::int64_t paired(std::int64_t r, std::int64_t head_rows) {
  const std::int64_t in_head = r % head_rows, half = head_rows / 2;
  return r - in_head + in_head % half * 2 + in_head / half;
}

}  // namespace

GgufWeights::GgufWeights(std::shared_ptr<const Gguf> file)
    : file_(std::move(file)), architecture_(architecture_of(*file_)) {
  for (const GgufTensor& tensor : file_->tensors())
    if (!is_rotary(tensor.name)) add(tensor);
  notes_ = file_->notes();
  note_types();
}

void GgufWeights::add(const GgufTensor& tensor) {
  const auto dtype = stored_dtype(*tensor.type);
  if (!dtype)
    file_->reject("16", tensor.name,
                  fmt::format("type {} is known to the format, not supported here", tensor.type->name),
                  "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K or Q6_K",
                  "use a file of another quantisation, such as Q4_K_M or Q8_0");
  const std::string name = folder_name(architecture_, tensor.name);
  Source source = source_of(tensor);
  StoredTensor stored;
  stored.dtype = source.change == Change::kPlusOne ? DType::kF32 : *dtype;
  source.element = size_of(stored.dtype);
  stored.shape.assign(tensor.dims.rbegin(), tensor.dims.rend());
  if (source.change == Change::kTransposed) std::ranges::reverse(stored.shape);
  stored.file = file_->path();
  stored.begin = tensor.begin;
  stored.bytes = size_of(stored.dtype);
  for (const std::int64_t dim : stored.shape)
    stored.bytes *= static_cast<std::uint64_t>(dim);  // counted by Gguf
  if (!tensors_.emplace(name, stored).second)
    file_->reject("13", tensor.name, fmt::format("a second tensor that stands for {}", printable(name)),
                  "every weight once", "fetch the file again");
  sources_.emplace(name, source);
}

GgufWeights::Source GgufWeights::source_of(const GgufTensor& tensor) const {
  Source source{&tensor, Change::kNone, 1, 1, 0, 0};
  for (std::size_t i = 0; i < tensor.dims.size(); ++i) (i == 0 ? source.row : source.rows) *= tensor.dims[i];
  const auto [layer, part, kind] = parts_of(tensor.name);
  // Meta's own Llama turns elements 2i and 2i + 1 of a head together, transformers i and i + D / 2. Converters put the
  // rows of "llama" files (Mistral's too) in the former order; the other architectures keep that of the folder.
  if (architecture_ == Arch::kLlama && !layer.empty() && (part == "attn_q" || part == "attn_k")) {
    const std::int64_t all = file_->integer_at("llama.attention.head_count", 1, INT32_MAX),
                       heads =
                           part == "attn_q"
                               ? all
                               : file_->integer("llama.attention.head_count_kv", 1, INT32_MAX).value_or(all);
    if (tensor.dims.size() == 1) {
      std::swap(source.rows, source.row);  // a bias
      if (tensor.type->elements > 1)
        file_->reject("16", tensor.name, fmt::format("a bias of type {}", tensor.type->name),
                      "F32, F16 or BF16", "convert the model again");
    }
    source.heads = heads;
    if (source.rows % (2 * heads) == 0)
      source.change = Change::kRotaryRows;  // else it is refused for its shape
  }
  // GPT-2 is published with its matrices as [in, out].
  if (architecture_ == Arch::kGpt2 && !layer.empty() && kind == ".weight" && tensor.dims.size() == 2)
    source.change = Change::kTransposed;
  // Gemma multiplies by 1 + weight; converters have added the one. In f32 both ways give the same sum: from 0.5 on
  // 1 + (x - 1) is x exactly, and the bf16 weights of published models have so few bits that it is so below as well.
  if ((architecture_ == Arch::kGemma2 || architecture_ == Arch::kGemma3) && part.ends_with("norm"))
    source.change = Change::kPlusOne;
  return source;
}

void GgufWeights::note_types() {
  std::map<std::string_view, std::size_t> counts;
  bool quantised = false;
  for (const auto& [name, source] : sources_) {
    ++counts[source.tensor->type->name];
    quantised = quantised || source.tensor->type->elements > 1;
  }
  std::string list;
  for (const auto& [type, count] : counts)
    list += fmt::format("{}{} of {}", list.empty() ? "" : ", ", count, type);
  if (quantised || counts.size() > 1)
    notes_.push_back(
        fmt::format("tensors: {}{}", list, quantised ? "; quantised ones are computed with as f32" : ""));
}

std::uint64_t GgufWeights::stored_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, source] : sources_) bytes += source.tensor->bytes;
  return bytes;
}

void GgufWeights::read(std::string_view name, std::span<std::byte> to) const {
  const StoredTensor* stored = find(name);
  require(stored != nullptr && stored->bytes == to.size(), "gguf: no such tensor, or a wrong size to read");
  const Source& source = sources_.find(name)->second;
  if (source.change != Change::kTransposed) return read_part(source, 0, to);
  std::vector<std::byte> whole(to.size());
  read_part(source, 0, whole);
  const auto rows = static_cast<std::size_t>(source.rows), columns = static_cast<std::size_t>(source.row),
             size = size_of(stored->dtype);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      std::memcpy(to.data() + (c * rows + r) * size, whole.data() + (r * columns + c) * size, size);
}

void GgufWeights::read_rows(std::string_view name, std::int64_t first, std::span<std::byte> to) const {
  const StoredTensor* stored = find(name);
  require(stored != nullptr && stored->shape.size() == 2, "gguf: rows of what has none");
  const Source& source = sources_.find(name)->second;
  if (source.change == Change::kTransposed) return TensorFiles::read_rows(name, first, to);
  read_part(source, first, to);
}

// Rows in the folder's order, from `first` on, as many as fill `to`; a few at a time where they are unpacked.
void GgufWeights::read_part(const Source& source, std::int64_t first, std::span<std::byte> to) const {
  if (to.empty()) return;
  const std::uint64_t in_file = source.tensor->bytes / static_cast<std::uint64_t>(source.rows),
                      in_memory = static_cast<std::uint64_t>(source.row) * source.element;
  const bool one_by_one = source.change == Change::kRotaryRows;
  const std::uint64_t step = one_by_one ? 1 : std::max<std::uint64_t>(1, kPiece / in_file);
  Scratch scratch;
  for (std::uint64_t done = 0; done < to.size();) {
    const std::uint64_t count = std::min(step, (to.size() - done) / in_memory);
    const std::int64_t place = one_by_one ? paired(first, source.rows / source.heads) : first;
    read_stored(source, static_cast<std::uint64_t>(place) * in_file, to.subspan(done, count * in_memory),
                scratch);
    first += static_cast<std::int64_t>(count);
    done += count * in_memory;
  }
}

// Rows as they stand in the file, from byte `offset` of the tensor on.
void GgufWeights::read_stored(const Source& source, std::uint64_t offset, std::span<std::byte> to,
                              Scratch& scratch) const {
  const GgufType& type = *source.tensor->type;
  if (type.elements == 1 && source.change != Change::kPlusOne) return file_->read(*source.tensor, offset, to);
  scratch.values.resize(to.size() / sizeof(float));
  scratch.blocks.resize(scratch.values.size() / static_cast<std::size_t>(type.elements) *
                        static_cast<std::size_t>(type.bytes));
  file_->read(*source.tensor, offset, scratch.blocks);
  dequantise(type, scratch.blocks, scratch.values);
  if (source.change == Change::kPlusOne)
    for (float& value : scratch.values) value -= 1;
  std::memcpy(to.data(), scratch.values.data(), to.size());
}

}  // namespace evictbench
