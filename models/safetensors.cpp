#include "models/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>

#include "models/folder.h"

namespace evictbench {
namespace {

static_assert(std::endian::native == std::endian::little,
              "weights are read as they are stored: little-endian");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeader = 100'000'000;  // the reference reader has the same limit
constexpr std::uint64_t kMostValues = 1 << 20;      // JSON values in a header: 10 a tensor
constexpr std::int64_t kMostOffset = std::int64_t{1} << 53, kMostDim = std::int64_t{1} << 48;
constexpr std::size_t kMostDims = 32, kMostName = 1024;
constexpr const char* kFetch = "fetch this file again";
constexpr const char* kFetchBoth = "fetch the index and the shards again, from one place";

[[noreturn]] void refuse(const char* code, const std::string& file, const std::string& position,
                         const std::string& found, const std::string& expected, const std::string& mend) {
  reject(Exit::kInput, {std::string("E-ST-") + code, file, position, found, expected, mend});
}

std::string byte_place(std::uint64_t offset) { return fmt::format("byte {}", offset); }

struct Span {
  std::string name;
  StoredTensor tensor;
};

// A file that fails as safetensors, named for what it is where that is plain.
void reject_disguise(const File& file, std::uint64_t at, std::string_view start) {
  if (const auto other = recognise(start))
    refuse("05", file.path(), byte_place(at), other->what, "a safetensors file", other->mend);
}

std::string read_string(const File& file, std::uint64_t offset, std::uint64_t bytes) {
  std::string text(bytes, '\0');
  file.read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

std::uint64_t read_header_length(const File& file) {
  if (file.size() < kLengthBytes)
    refuse("01", file.path(), "", fmt::format("the file has {} bytes", file.size()),
           "a safetensors file, which needs at least 8 bytes of header length", kFetch);
  const std::string start = read_string(file, 0, std::min<std::uint64_t>(file.size(), 64));
  std::uint64_t length = 0;
  std::memcpy(&length, start.data(), sizeof length);
  if (length > kMostHeader || length > file.size() - kLengthBytes) reject_disguise(file, 0, start);
  if (length > kMostHeader)
    refuse("03", file.path(), byte_place(0), fmt::format("a header length of {} bytes", length),
           fmt::format("at most {} (the reference reader has the same limit)", kMostHeader),
           "the file is truncated or not safetensors; fetch it again");
  if (length > file.size() - kLengthBytes)
    refuse(
        "02", file.path(), byte_place(0),
        fmt::format("a header length of {} bytes, but {} bytes follow", length, file.size() - kLengthBytes),
        "a header inside the file", "the file is truncated or not safetensors; fetch it again");
  if (length == 0)
    refuse("04", file.path(), byte_place(0), "an empty header: there are no tensors", "a model with tensors",
           kFetch);
  return length;
}

Json parse_header(const File& file, std::uint64_t length) {
  std::string text = read_string(file, kLengthBytes, length);
  if (text[0] != '{') {
    reject_disguise(file, kLengthBytes, text);
    refuse("05", file.path(), byte_place(kLengthBytes),
           fmt::format("the header begins with '{}'", printable(text, 16)), "'{' as its first byte",
           "this is not safetensors, or it is damaged; fetch it again");
  }
  JsonRules rules;
  rules.code_prefix = "E-ST";
  rules.bytes = kMostHeader;
  rules.values = kMostValues;
  rules.first_byte = kLengthBytes;
  const std::size_t last = text.find_last_not_of(' ');
  const bool odd_padding = text[last] == '\n' || text[last] == '\t' || text[last] == '\r';
  if (odd_padding)
    refuse("07", file.path(), byte_place(kLengthBytes + last),
           "the header is padded with white space other than spaces", "spaces only",
           "write the file again with a safetensors library");
  return Json::from_text(std::move(text), file.path(), rules);
}

DType parse_dtype(const Json& json) {
  static constexpr std::string_view kKnown[] = {"BOOL",    "U8",  "I8",      "I16",     "U16",    "I32",
                                                "U32",     "I64", "U64",     "F64",     "F4",     "F6_E2M3",
                                                "F6_E3M2", "C64", "F8_E5M2", "F8_E4M3", "F8_E8M0"};
  const std::string& name = json.string();
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  const bool known = std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown);
  json.reject("13",
              known ? fmt::format("dtype {} is known to the format, not supported here", name)
                    : fmt::format("unknown dtype \"{}\"", printable(name)),
              "one of F32, F16, BF16",
              known ? "convert the checkpoint to one of these" : "fetch or write the file again");
}

// Bytes that a tensor of this shape needs.
std::uint64_t parse_shape(const Json& json, StoredTensor& tensor) {
  if (json.size() > kMostDims)
    json.reject("21", fmt::format("{} dimensions", json.size()), fmt::format("at most {}", kMostDims),
                kFetch);
  std::uint64_t bytes = size_of(tensor.dtype);
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::int64_t dim = json[i].integer(0, kMostDim);
    tensor.shape.push_back(dim);
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes))
      json.reject("19", fmt::format("the element count of shape {} overflows", tensor.shape_text()),
                  "a shape that fits in memory", kFetch);
  }
  return bytes;
}

void check_fields(const Json& entry) {
  for (const char* field : {"dtype", "shape", "data_offsets"})
    if (!entry.find(field))
      entry.reject("12", fmt::format("the field \"{}\" is missing", field), "dtype, shape and data_offsets",
                   kFetch);
  for (const auto& [field, value] : entry.items())
    if (field != "dtype" && field != "shape" && field != "data_offsets")
      value.reject("12", fmt::format("an extra field \"{}\"", printable(field)),
                   "only dtype, shape and data_offsets", kFetch);
}

StoredTensor parse_entry(const Json& entry) {
  check_fields(entry);
  StoredTensor tensor;
  tensor.dtype = parse_dtype(entry.at("dtype"));
  const std::uint64_t needed = parse_shape(entry.at("shape"), tensor);
  const Json offsets = entry.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2)
    offsets.reject("14", "data_offsets that is not a list of two", "[begin, end]", kFetch);
  const std::int64_t begin = offsets[0].integer(0, kMostOffset), end = offsets[1].integer(0, kMostOffset);
  if (begin > end)
    offsets.reject("14", fmt::format("begin {} lies behind end {}", begin, end), "begin <= end", kFetch);
  tensor.begin = static_cast<std::uint64_t>(begin);
  tensor.bytes = static_cast<std::uint64_t>(end - begin);
  if (tensor.bytes != needed)
    offsets.reject("18", fmt::format("a span of {} bytes", tensor.bytes),
                   fmt::format("{} bytes for {} {}", needed, name_of(tensor.dtype), tensor.shape_text()),
                   kFetch);
  return tensor;
}

void check_name(const std::string& name, const Json& entry) {
  const bool control =
      std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (name.empty() || name.size() > kMostName || control)
    entry.reject("25",
                 name.empty() ? "a tensor without a name"
                 : control    ? fmt::format("control characters in the tensor name \"{}\"", printable(name))
                              : fmt::format("a tensor name of {} bytes", name.size()),
                 fmt::format("a name of 1 to {} plain characters", kMostName), "write the file again");
}

void check_metadata(const Json& metadata) {
  for (const auto& [key, value] : metadata.items())
    if (!value.is_string())
      value.reject("23", "a metadata value that is not a string", "strings only in __metadata__",
                   "write the file again with a safetensors library");
}

// The tensors must cover the data exactly: [0, end of file), without gap or overlap.
void check_cover(const File& file, std::vector<Span>& spans, std::uint64_t data_start) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::pair(a.tensor.begin, a.tensor.bytes) < std::pair(b.tensor.begin, b.tensor.bytes);
  });
  const auto title = [](const Span& s) {
    return fmt::format("tensor \"{}\" [{}, {})", printable(s.name), s.tensor.begin,
                       s.tensor.begin + s.tensor.bytes);
  };
  std::uint64_t covered = 0;
  const Span* before = nullptr;
  for (const Span& span : spans) {
    if (span.tensor.begin < covered)
      refuse("15", file.path(), byte_place(data_start + span.tensor.begin),
             fmt::format("{} and {} overlap", title(*before), title(span)), "each byte in one tensor",
             kFetch);
    if (span.tensor.begin > covered)
      refuse("16", file.path(), byte_place(data_start + covered),
             fmt::format("{} bytes belong to no tensor, before {}", span.tensor.begin - covered, title(span)),
             "tensors without gaps", kFetch);
    covered = span.tensor.begin + span.tensor.bytes;
    before = &span;
  }
  const std::uint64_t data = file.size() - data_start;
  if (covered > data)
    refuse("17", file.path(), byte_place(file.size()),
           fmt::format("the file ends here, {} bytes are missing", covered - data),
           fmt::format("{} bytes ({} ends there)", data_start + covered, title(*before)),
           "the download stopped early; fetch this file again");
  if (covered < data)
    refuse("16", file.path(), byte_place(data_start + covered),
           fmt::format("{} bytes belong to no tensor at the end of the file", data - covered),
           fmt::format("the end of the file at byte {}", data_start + covered), kFetch);
}

std::vector<Span> read_header(const File& file) {
  const std::uint64_t length = read_header_length(file);
  const Json header = parse_header(file, length);
  const std::uint64_t data_start = kLengthBytes + length;
  std::vector<Span> spans;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(entry);
      continue;
    }
    check_name(name, entry);
    spans.push_back({name, parse_entry(entry)});
  }
  check_cover(file, spans, data_start);
  if (spans.empty())
    refuse("04", file.path(), byte_place(kLengthBytes), "there are no tensors", "a model with tensors",
           kFetch);
  for (Span& span : spans) {
    span.tensor.begin += data_start;
    span.tensor.file = file.path();
  }
  return spans;
}

// The plain files and links of a folder, sorted; empty if it cannot be listed.
std::vector<std::string> list_folder(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

[[noreturn]] void reject_no_weights(const std::string& folder) {
  if (!is_folder(folder)) {
    const File file(folder, Exit::kInput, "E-ST");  // says so where there is nothing at all
    refuse("42", folder, "", "this is a file", "a model folder with config.json and model.safetensors",
           "name the folder that holds the model");
  }
  std::vector<std::string> pickles, others;
  for (const std::string& name : list_folder(folder)) {
    const std::string ending = std::filesystem::path(name).extension().string();
    if (ending == ".bin" || ending == ".pt" || ending == ".pth" || ending == ".ckpt")
      pickles.push_back(printable(name));
    if (ending == ".gguf" || ending == ".safetensors") others.push_back(printable(name));
  }
  if (!pickles.empty())
    refuse("42", folder, "",
           fmt::format("only pickled weights ({})", printable(fmt::format("{}", fmt::join(pickles, ", ")))),
           "model.safetensors; pickles can run code and are never opened",
           "convert them where untrusted code may run: AutoModelForCausalLM.from_pretrained(folder)"
           ".save_pretrained(out, safe_serialization=True)");
  refuse("42", folder, "",
         others.empty() ? "there are no weights"
                        : fmt::format("no model.safetensors, but {}",
                                      printable(fmt::format("{}", fmt::join(others, ", ")))),
         "model.safetensors or model.safetensors.index.json",
         "name the .gguf file itself, merge an adapter into its base model, or fetch the model again");
}

// A shard name from an index: a plain file name, so that no index can point outside its folder. What a link of
// that name points to is the user's own doing (Hugging Face caches are made of links).
void check_shard_name(const Json& value) {
  const std::string& name = value.string();
  const auto plain = [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-');
  };
  if (name.size() > 255 || name.starts_with('.') || !name.ends_with(".safetensors") ||
      !std::all_of(name.begin(), name.end(), plain))
    value.reject(
        "40",
        fmt::format("\"{}\": the index points outside the model folder or at an odd name", printable(name)),
        "a plain file name of A-Z a-z 0-9 . _ - that ends in .safetensors",
        "do not use this checkpoint unless you made it yourself; if so, put all shards beside the index");
}

void check_shards_present(const std::string& folder, const std::string& index,
                          const std::set<std::string>& shards) {
  std::vector<std::string> missing;
  for (const std::string& shard : shards)
    if (!is_file(folder + "/" + shard)) missing.push_back(shard + link_target(folder + "/" + shard));
  if (!missing.empty())
    refuse("36", index, "",
           fmt::format("{} of {} shards are missing or are no files: {}", missing.size(), shards.size(),
                       printable(fmt::format("{}", fmt::join(missing, ", ")), 2000)),
           "every shard that the index lists", "fetch the missing shards");
}

// A tensor that `shard` holds is what the index says.
void check_mapped(const Json& map, const std::string& name, const std::string& shard) {
  const auto value = map.find(name);
  if (!value)
    map.reject("37", fmt::format("tensor \"{}\" of {} is not in the map", printable(name), shard),
               "every tensor of every shard", kFetchBoth);
  if (value->string() != shard)
    value->reject("37",
                  fmt::format("the map puts this tensor in {}, but it is in {}", value->string(), shard),
                  "a map that fits the shards", kFetchBoth);
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const std::string& folder) : folder_(folder) {
  const std::string single = folder + "/model.safetensors", index = single + ".index.json";
  const bool has_index = is_present(index);
  if (is_present(single)) {
    if (has_index)
      notes_.push_back(
          "model.safetensors is used, model.safetensors.index.json is ignored, as transformers does");
    open_single(single);
  } else if (has_index) {
    open_sharded(index);
  } else {
    reject_no_weights(folder);
  }
  note_dtypes();
}

void SafetensorsFolder::open_single(const std::string& path) {
  shards_.emplace_back(path, Exit::kInput, "E-ST");
  for (Span& span : read_header(shards_.back()))
    tensors_.emplace(std::move(span.name), std::move(span.tensor));
}

void SafetensorsFolder::open_sharded(const std::string& index_path) {
  JsonRules rules;
  rules.code_prefix = "E-ST";
  rules.bytes = kMostHeader;
  rules.values = kMostValues;
  const Json index = Json::from_file(index_path, rules);
  const Json map = index.at("weight_map");
  std::set<std::string> shards;
  for (const auto& [name, value] : map.items()) {
    check_shard_name(value);
    shards.insert(value.string());
  }
  if (shards.empty()) map.reject("37", "the index lists no tensors", "a map of tensors to shards", kFetch);
  check_shards_present(folder_, index_path, shards);
  for (const std::string& shard : shards) {
    const File& file = shards_.emplace_back(folder_ + "/" + shard, Exit::kInput, "E-ST");
    for (Span& span : read_header(file)) {
      span.tensor.shard = shards_.size() - 1;
      const auto [other, is_new] = tensors_.emplace(span.name, span.tensor);
      if (!is_new)
        refuse("35", file.path(), byte_place(span.tensor.begin),
               fmt::format("tensor \"{}\" is here and in {}", printable(span.name), other->second.file),
               "every tensor in one shard", kFetch);
      check_mapped(map, span.name, shard);
    }
  }
  for (const auto& [name, value] : map.items())
    if (!tensors_.contains(name))
      value.reject("37", fmt::format("{} holds no tensor of this name", value.string()),
                   "a map that fits the shards", kFetchBoth);
  if (const auto metadata = index.find("metadata")) check_total(*metadata);
  note_unlisted(shards);
}

void SafetensorsFolder::check_total(const Json& metadata) const {
  if (!metadata.is_object())
    metadata.reject("37", "metadata that is no object", "an object, or no such key", kFetchBoth);
  const auto told = metadata.find("total_size");
  if (!told) return;
  double total = 0, table = 0;
  for (const auto& [name, tensor] : tensors_) {
    total += static_cast<double>(tensor.bytes);
    if (name.ends_with("embed_tokens.weight")) table = static_cast<double>(tensor.bytes);
  }
  const double size = told->number(0, 1e300), off = std::abs(size - total);  // some writers store 8.0 for 8
  if (off != 0 && off != table)  // a tied head may be counted twice and stored once
    told->reject("37", fmt::format("total_size {} does not fit the tensors", size),
                 fmt::format("{:.0f}, the sum of their bytes", total), kFetchBoth);
}

void SafetensorsFolder::note_unlisted(const std::set<std::string>& shards) {
  for (const std::string& name : list_folder(folder_))
    if (name.ends_with(".safetensors") && !shards.contains(name))
      notes_.push_back(fmt::format("{} is ignored: the index does not list it", printable(name)));
}

void SafetensorsFolder::note_dtypes() {
  std::map<std::string_view, std::size_t> counts;
  bool aligned = true;
  for (const auto& [name, tensor] : tensors_) {
    ++counts[name_of(tensor.dtype)];
    aligned = aligned && (tensor.bytes == 0 || tensor.begin % size_of(tensor.dtype) == 0);
  }
  if (!aligned) notes_.push_back("some tensors are not aligned to their dtype; they are copied");
  if (counts.size() < 2) return;
  std::vector<std::string> parts;
  for (const auto& [dtype, count] : counts) parts.push_back(fmt::format("{} of {}", count, dtype));
  notes_.push_back(fmt::format("tensors of several dtypes: {}", fmt::join(parts, ", ")));
}

void SafetensorsFolder::read(std::string_view name, std::span<std::byte> to) const {
  const StoredTensor* tensor = find(name);
  require(tensor != nullptr && tensor->bytes == to.size(),
          "safetensors: no such tensor, or a wrong size to read");
  shards_[tensor->shard].read(tensor->begin, to);
}

void SafetensorsFolder::read_rows(std::string_view name, std::int64_t first, std::span<std::byte> to) const {
  const StoredTensor* tensor = find(name);
  require(tensor != nullptr && tensor->shape.size() == 2, "safetensors: rows of what has none");
  const auto begin = static_cast<std::uint64_t>(first * tensor->shape[1]) * size_of(tensor->dtype);
  require(begin <= tensor->bytes && to.size() <= tensor->bytes - begin, "safetensors: rows behind the last");
  shards_[tensor->shard].read(tensor->begin + begin, to);
}

}  // namespace evictbench
