#include "models/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace evictbench {
namespace {

static_assert(std::endian::native == std::endian::little,
              "values are read as they are stored: little-endian");

constexpr std::uint64_t kMostHeader = 256 << 20, kFirstRead = 64 << 10;
constexpr std::uint64_t kMostTensors = 200'000, kMostKeys = 65'536, kMostKeyBytes = 65'535,
                        kMostNameBytes = 64, kMostAlignment = 1 << 20;
constexpr std::size_t kMostDims = 4;
constexpr std::uint64_t kLeastKey = 8 + 1 + 4 + 1,
                        kLeastTensor = 8 + 1 + 4 + 4 + 8;  // bytes of a shortest entry
constexpr std::string_view kMagic = "GGUF";
constexpr const char* kFetch = "fetch the file again";

// ggml_type of ggml.h. All of them are known by size, so that a file with a type that we do not compute with is still
// checked; gguf_blocks says which ones can be read.
constexpr auto kTypes = std::to_array<GgufType>({
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 40},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},    {41, "Q1_0", 128, 18},
});

const GgufType* type_of(std::uint32_t id) {
  const auto found = std::ranges::find(kTypes, id, &GgufType::id);
  return found == kTypes.end() ? nullptr : &*found;
}

std::string byte_place(std::uint64_t offset) { return fmt::format("byte {}", offset); }

bool is_plain(std::string_view text) {
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return invalid_utf8(text) == text.npos && std::ranges::none_of(text, control);
}

std::string start_of(const std::string& path) {
  const File file(path, Exit::kInput, "E-GG");
  std::string start(std::min<std::uint64_t>(file.size(), 64), '\0');
  file.read(0, std::as_writable_bytes(std::span(start)));
  return start;
}

}  // namespace

bool is_gguf(const std::string& path) {
  if (is_folder(path)) return false;
  return path.ends_with(".gguf") || (is_file(path) && start_of(path).starts_with(kMagic));
}

std::string_view Gguf::name_of(Kind kind) {
  static constexpr std::array<std::string_view, kKinds> kNames = {
      "UINT8", "INT8",   "UINT16", "INT16",  "UINT32", "INT32",  "FLOAT32",
      "BOOL",  "STRING", "ARRAY",  "UINT64", "INT64",  "FLOAT64"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::uint64_t Gguf::size_of(Kind kind) {
  static constexpr std::array<std::uint64_t, kKinds> kSizes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kSizes[static_cast<std::size_t>(kind)];
}

void Gguf::reject(std::string_view code, std::string_view position, const std::string& found,
                  const std::string& expected, const std::string& mend) const {
  evictbench::reject(Exit::kInput,
                     {fmt::format("E-GG-{}", code), path(), printable(position, 200), found, expected, mend});
}

// Makes the next `bytes` of the header readable.
void Gguf::need(std::uint64_t bytes, const char* what) {
  if (bytes > file_.size() - at_)
    reject("04", byte_place(at_), fmt::format("the file ends after {} bytes, inside {}", file_.size(), what),
           fmt::format("{} bytes from here", bytes),
           "the download stopped early, or the file is damaged; fetch it again");
  const std::uint64_t end = at_ + bytes;
  if (end <= header_.size()) return;
  if (end > kMostHeader)
    reject("04", byte_place(at_), fmt::format("a header of more than {} bytes", kMostHeader),
           "a smaller header", kFetch);
  const std::uint64_t old = header_.size(),
                      size = std::min({file_.size(), kMostHeader, std::max({end, 2 * old, kFirstRead})});
  header_.resize(size);
  file_.read(old, std::as_writable_bytes(std::span(header_)).subspan(old));
}

template <class T>
T Gguf::take(const char* what) {
  need(sizeof(T), what);
  at_ += sizeof(T);
  return raw<T>(at_ - sizeof(T));
}

// The view holds until the next read of the header.
std::string_view Gguf::take_text(const char* what, std::uint64_t most) {
  const std::uint64_t place = at_, bytes = take<std::uint64_t>(what);
  if (bytes > most || bytes > file_.size() - at_)
    reject("05", byte_place(place), fmt::format("a length of {} bytes for {}", bytes, what),
           fmt::format("at most {}", std::min(most, file_.size() - at_)), kFetch);
  need(bytes, what);
  at_ += bytes;
  return std::string_view(header_).substr(at_ - bytes, bytes);
}

Gguf::Gguf(const std::string& path) : file_(path, Exit::kInput, "E-GG") {
  std::uint64_t tensors = 0, keys = 0;
  read_start(tensors, keys);
  for (std::uint64_t i = 0; i < keys; ++i) read_key();
  if (has("general.alignment")) {
    const auto stated = static_cast<std::uint64_t>(integer_at("general.alignment", 1, kMostAlignment));
    if (!std::has_single_bit(stated))
      reject("11", "general.alignment", fmt::format("an alignment of {}", stated), "a power of two", kFetch);
    alignment_ = stated;
  }
  for (std::uint64_t i = 0; i < tensors; ++i) read_tensor();
  place_tensors();
  check_cover();
}

void Gguf::read_start(std::uint64_t& tensors, std::uint64_t& keys) {
  constexpr std::uint64_t kStart = 4 + 4 + 8 + 8;
  std::string start = start_of(path());
  if (!start.starts_with(kMagic)) {
    const auto other = recognise(start);
    const bool older = start.starts_with("lmgg") || start.starts_with("tjgg") || start.starts_with("fmgg") ||
                       start.starts_with("algg");
    reject("01", byte_place(0),
           other   ? other->what
           : older ? "a model in a format older than GGUF"
                   : fmt::format("the file begins with '{}' ({} bytes in all)", printable(start.substr(0, 4)),
                                 file_.size()),
           "GGUF as the first bytes",
           other   ? other->mend
           : older ? "convert the model again"
                   : kFetch);
  }
  need(std::min<std::uint64_t>(kStart, file_.size()), "the start of the header");
  at_ = kMagic.size();
  const auto version = take<std::uint32_t>("the version");
  if (version != 2 && version != 3) {
    const bool swapped = __builtin_bswap32(version) <= 3 && version != 0;
    reject("02", byte_place(4), swapped ? "a big-endian file" : fmt::format("GGUF version {}", version),
           "version 2 or 3, little-endian", "convert the model again with a current converter");
  }
  tensors = take<std::uint64_t>("the number of tensors");
  keys = take<std::uint64_t>("the number of keys");
  const auto check = [&](std::uint64_t offset, std::uint64_t count, std::uint64_t most, std::uint64_t least,
                         const char* what) {
    const std::uint64_t room = (file_.size() - kStart) / least;
    if (count > std::min(most, room))
      reject("03", byte_place(offset), fmt::format("{} {}", count, what),
             room < most ? fmt::format("at most {}, which is what fits into {} bytes", room, file_.size())
                         : fmt::format("at most {}", most),
             kFetch);
  };
  check(8, tensors, kMostTensors, kLeastTensor, "tensors");
  check(16, keys, kMostKeys, kLeastKey, "keys");
}

Gguf::Kind Gguf::take_kind(std::string_view key) {
  const std::uint64_t place = at_;
  const auto kind = take<std::uint32_t>("the type of a value");
  if (kind >= kKinds)
    reject("07", byte_place(place), fmt::format("value type {} of the key {}", kind, printable(key)),
           fmt::format("0 to {}", kKinds - 1), kFetch);
  return static_cast<Kind>(kind);
}

void Gguf::read_key() {
  const std::uint64_t place = at_;
  const std::string key(take_text("a key", kMostKeyBytes));
  if (key.empty() || !is_plain(key))
    reject("06", byte_place(place), key.empty() ? "a key without a name" : "a key '" + printable(key) + "'",
           "a name of plain characters", kFetch);
  Value value{};
  value.kind = take_kind(key);
  skip_value(value, key);
  if (!keys_.emplace(key, value).second)
    reject("08", byte_place(place), "the key " + printable(key) + " a second time", "every key once", kFetch);
}

// Checks that all of a value lies inside the file, and moves behind it.
void Gguf::skip_value(Value& value, std::string_view key) {
  const std::uint64_t place = at_;
  value.count = 1;
  value.element = value.kind;
  if (value.kind == Kind::kArray) {
    value.element = take_kind(key);
    value.count = take<std::uint64_t>("the length of an array");
    if (value.element == Kind::kArray)
      reject("09", byte_place(place), "an array of arrays under " + printable(key),
             "an array of plain values", "no known key needs one; convert the model again");
  }
  value.at = at_;
  const std::uint64_t size = size_of(value.element), least = size == 0 ? 8 : size;
  if (value.count > (file_.size() - at_) / least)
    reject(
        "09", byte_place(place),
        fmt::format("{} {} values under {}", value.count, name_of(value.element), printable(key)),
        fmt::format("at most {}, which is what the rest of the file can hold", (file_.size() - at_) / least),
        kFetch);
  if (size > 0) {
    need(value.count * size, "a value");
    at_ += value.count * size;
  } else {
    for (std::uint64_t i = 0; i < value.count; ++i) take_text("a text", kMostHeader);
  }
  if (value.element == Kind::kBool)
    for (std::uint64_t i = 0; i < value.count; ++i)
      if (const auto byte = raw<std::uint8_t>(value.at + i); byte > 1)
        reject("07", byte_place(value.at + i), fmt::format("a BOOL of {} under {}", byte, printable(key)),
               "0 or 1", kFetch);
}

void Gguf::read_tensor() {
  const std::uint64_t place = at_;
  GgufTensor tensor;
  tensor.name = take_text("the name of a tensor", kMostNameBytes);
  if (tensor.name.empty() || !is_plain(tensor.name))
    reject("12", byte_place(place), "a tensor named '" + printable(tensor.name) + "'",
           "a name of plain characters", kFetch);
  const auto dims = take<std::uint32_t>("the shape of a tensor");
  if (dims > kMostDims)
    reject("14", printable(tensor.name), fmt::format("{} dimensions", dims),
           fmt::format("at most {}", kMostDims), kFetch);
  for (std::uint32_t i = 0; i < dims; ++i) {
    const auto dim = take<std::uint64_t>("the shape of a tensor");
    if (dim > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
      reject("14", tensor.name, fmt::format("a dimension of {}", dim), "one that fits in memory", kFetch);
    tensor.dims.push_back(static_cast<std::int64_t>(dim));
  }
  const auto type = take<std::uint32_t>("the type of a tensor");
  tensor.type = type_of(type);
  if (tensor.type == nullptr)
    reject("16", tensor.name, fmt::format("tensor type {}", type),
           "a type of ggml, such as F32, F16, BF16, Q8_0 or Q4_K",
           "the type is newer than this program, was withdrawn, or the file is damaged; use another "
           "quantisation");
  tensor.begin = take<std::uint64_t>("the offset of a tensor");  // from data_begin_, which is not known yet
  if (tensor.begin % alignment_ != 0)
    reject("18", tensor.name, fmt::format("an offset of {}", tensor.begin),
           fmt::format("a multiple of {}", alignment_), kFetch);
  tensor.bytes = bytes_of(tensor, tensor.name);
  if (!by_name_.emplace(tensor.name, tensors_.size()).second)
    reject("13", byte_place(place), "the tensor " + printable(tensor.name) + " a second time",
           "every tensor once", kFetch);
  tensors_.push_back(std::move(tensor));
}

std::uint64_t Gguf::bytes_of(const GgufTensor& tensor, std::string_view place) const {
  const auto elements = static_cast<std::uint64_t>(tensor.type->elements),
             row = tensor.dims.empty() ? 1 : static_cast<std::uint64_t>(tensor.dims[0]);
  if (row % elements != 0)
    reject("17", place, fmt::format("rows of {} elements of type {}", row, tensor.type->name),
           fmt::format("a multiple of {}", elements), kFetch);
  std::uint64_t bytes = row / elements;
  bool overflows = __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(tensor.type->bytes), &bytes);
  for (std::size_t i = 1; i < tensor.dims.size(); ++i)
    overflows =
        __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(tensor.dims[i]), &bytes) || overflows;
  // Elements are counted too: a dimension of 0 must not hide that the others overflow.
  std::uint64_t count = 1;
  for (const std::int64_t dim : tensor.dims)
    overflows =
        __builtin_mul_overflow(count, std::max<std::uint64_t>(1, static_cast<std::uint64_t>(dim)), &count) ||
        overflows;
  if (overflows || count > std::uint64_t{1} << 60)
    reject("15", place, fmt::format("the size of shape [{}] overflows", fmt::join(tensor.dims, ", ")),
           "a shape that fits in memory", kFetch);
  return bytes;
}

// From offsets in the data to offsets in the file.
void Gguf::place_tensors() {
  data_begin_ = (at_ + alignment_ - 1) / alignment_ * alignment_;
  if (tensors_.empty()) return;
  const std::uint64_t data = file_.size() < data_begin_ ? 0 : file_.size() - data_begin_;
  for (GgufTensor& tensor : tensors_) {
    if (tensor.begin > data || tensor.bytes > data - tensor.begin)
      reject("21", tensor.name,
             fmt::format("{} bytes from offset {} of {} bytes of data: the tensor ends behind the file",
                         tensor.bytes, tensor.begin, data),
             "a tensor inside the file",
             "the download stopped early, or the file is damaged; fetch it again");
    tensor.begin += data_begin_;
  }
}

// No byte belongs to two tensors, and what belongs to none is padding.
void Gguf::check_cover() {
  std::vector<const GgufTensor*> order;
  for (const GgufTensor& tensor : tensors_) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const GgufTensor* t) { return std::pair(t->begin, t->bytes); });
  std::uint64_t covered = data_begin_;
  const GgufTensor* before = nullptr;
  for (const GgufTensor* tensor : order) {
    if (tensor->begin < covered)
      reject("19", byte_place(tensor->begin),
             fmt::format("the tensors {} and {} overlap", printable(before->name), printable(tensor->name)),
             "each byte in one tensor", kFetch);
    if (tensor->begin - covered >= alignment_)
      reject("20", byte_place(covered),
             fmt::format("{} bytes belong to no tensor, before {}", tensor->begin - covered,
                         printable(tensor->name)),
             fmt::format("at most {} bytes of padding", alignment_ - 1), kFetch);
    covered = tensor->begin + tensor->bytes;
    before = tensor;
  }
  if (before != nullptr && file_.size() > covered && file_.size() - covered >= alignment_)
    notes_.push_back(fmt::format("{} bytes behind the last tensor are ignored", file_.size() - covered));
}

const GgufTensor* Gguf::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

void Gguf::read(const GgufTensor& tensor, std::uint64_t offset, std::span<std::byte> to) const {
  require(offset <= tensor.bytes && to.size() <= tensor.bytes - offset, "gguf: a read beyond the tensor");
  file_.read(tensor.begin + offset, to);
}

}  // namespace evictbench
