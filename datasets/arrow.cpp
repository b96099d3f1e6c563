#include "datasets/arrow.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include "core/io/file.h"

namespace evictbench {
namespace {

static_assert(std::endian::native == std::endian::little, "the file's numbers are read as they stand");

constexpr std::size_t kMostColumns = 64;
constexpr std::int64_t kMostRows = std::int64_t{1} << 20;
constexpr const char* kFetch = "fetch or make the file again";
constexpr const char* kSaveAgain = "save the data set again with datasets.save_to_disk, or as JSON";

// The whole file, and how it is refused. Every place is a byte of the file.
struct Source {
  std::string path, prefix, bytes;

  [[noreturn]] void refuse(const char* code, std::size_t at, const std::string& found,
                           const std::string& expected, const char* mend = kFetch) const {
    reject(Exit::kInput,
           {fmt::format("{}-{}", prefix, code), path, fmt::format("byte {}", at), found, expected, mend});
  }
  // `at` + sizeof(T) is known to be within the file.
  template <class T>
  T number(std::size_t at) const {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  }
};

// A flatbuffer (https://flatbuffers.dev/internals) within the file: bytes [begin, end).
struct Flat {
  const Source& source;
  std::size_t begin, end;

  template <class T>
  T number(std::size_t at) const {
    if (at < begin || at > end || end - at < sizeof(T))
      source.refuse("A03", at, "metadata that leads out of itself",
                    fmt::format("a place in bytes {} to {}", begin, end));
    return source.number<T>(at);
  }
  // Where the offset at `at` leads. Offsets lead forwards.
  std::size_t follow(std::size_t at) const {
    const auto offset = number<std::uint32_t>(at);
    if (offset == 0 || offset >= end - at)
      source.refuse("A03", at, fmt::format("an offset of {} bytes in the metadata", offset),
                    fmt::format("one from 1 to {}", end - at - 1));
    return at + offset;
  }
};

struct Vector {
  std::size_t first = 0;  // byte of element 0
  std::uint32_t count = 0;
};

class Table {
 public:
  Table(const Flat& flat, std::size_t at) : flat_(flat), at_(at) {
    const std::int64_t vtable = static_cast<std::int64_t>(at) - flat.number<std::int32_t>(at);
    vtable_ = static_cast<std::size_t>(std::max<std::int64_t>(vtable, 0));  // 0 is in no flatbuffer
    vtable_bytes_ = flat.number<std::uint16_t>(vtable_);
    bytes_ = flat.number<std::uint16_t>(vtable_ + 2);
    if (vtable_bytes_ < 4 || vtable_bytes_ > flat.end - vtable_ || bytes_ < 4 || bytes_ > flat.end - at)
      flat.source.refuse("A03", vtable_,
                         fmt::format("a table of {} bytes with {} of fields", bytes_, vtable_bytes_),
                         "sizes that the metadata has room for");
  }

  std::size_t place() const { return at_; }
  bool has(int index) const { return field(index, 1).has_value(); }
  template <class T>
  T number(int index, T otherwise) const {
    const auto at = field(index, sizeof(T));
    return at ? flat_.number<T>(*at) : otherwise;
  }
  std::optional<Table> table(int index) const {
    const auto at = field(index, 4);
    return at ? std::optional(Table(flat_, flat_.follow(*at))) : std::nullopt;
  }
  Vector vector(int index, std::size_t element_bytes) const {
    const auto at = field(index, 4);
    if (!at) return {};
    const std::size_t start = flat_.follow(*at);
    const auto count = flat_.number<std::uint32_t>(start);
    if (count > (flat_.end - start - 4) / element_bytes)
      flat_.source.refuse(
          "A03", start, fmt::format("a list of {} elements", count),
          fmt::format("at most {}, what the metadata has room for", (flat_.end - start - 4) / element_bytes));
    return {start + 4, count};
  }
  std::string_view text(int index) const {
    const Vector bytes = vector(index, 1);
    return std::string_view(flat_.source.bytes).substr(bytes.first, bytes.count);
  }
  Table element(const Vector& tables, std::uint32_t i) const {
    return {flat_, flat_.follow(tables.first + std::size_t{4} * i)};
  }

 private:
  std::optional<std::size_t> field(int index, std::size_t size) const {
    const std::size_t slot = 4 + std::size_t{2} * static_cast<std::size_t>(index);
    if (slot + 2 > vtable_bytes_) return std::nullopt;
    const auto offset = flat_.number<std::uint16_t>(vtable_ + slot);
    if (offset == 0) return std::nullopt;
    if (offset < 4 || offset + size > bytes_)
      flat_.source.refuse("A03", vtable_ + slot,
                          fmt::format("a field at byte {} of a table of {}", offset, bytes_),
                          "a field within its table");
    return at_ + offset;
  }

  Flat flat_;
  std::size_t at_, vtable_ = 0, vtable_bytes_ = 0, bytes_ = 0;
};

struct Column {
  std::string name;
  bool large = false;  // offsets of 8 bytes
};

struct Span {
  std::size_t first = 0, bytes = 0;  // of the file
};

// Names of Schema.fbs and Message.fbs by their numbers in these files.
constexpr int kSchema = 1, kDictionary = 2, kRecordBatch = 3;
constexpr int kUtf8 = 5, kLargeUtf8 = 20;
constexpr int kVersion4 = 3, kVersion5 = 4;

class Reader {
 public:
  Reader(Source source, std::span<const std::string> wanted)
      : source_(std::move(source)), wanted_(wanted), texts_(wanted.size()) {}

  std::vector<std::vector<std::string>> read() {
    check_start();
    std::size_t at = 0;
    while (message(at)) continue;
    if (columns_.empty())
      source_.refuse("A10", 0, "a stream without a schema", "a schema as its first message");
    if (at != source_.bytes.size())
      source_.refuse("A19", at, fmt::format("{} bytes behind the end mark", source_.bytes.size() - at),
                     "the file's end");
    return std::move(texts_);
  }

 private:
  void check_start() const {
    const std::string_view start = source_.bytes;
    if (start.starts_with("ARROW1") || start.starts_with("FEA1"))
      source_.refuse("A01", 0, "an Arrow or Feather file, for random access", "a stream", kSaveAgain);
    if (start.starts_with("PAR1")) source_.refuse("A01", 0, "a Parquet file", "an Arrow stream", kSaveAgain);
    if (!start.starts_with("\xFF\xFF\xFF\xFF"))
      source_.refuse("A01", 0, fmt::format("\"{}\"", printable(start.substr(0, 8))),
                     "FF FF FF FF, as an Arrow stream begins since Arrow 0.15");
  }

  // Reads the message at `at` and moves behind it; false: it was the end mark.
  bool message(std::size_t& at) {
    const std::size_t left = source_.bytes.size() - at;
    if (left == 0)
      source_.refuse("A18", at, "the file ends without an end mark", "FF FF FF FF 00 00 00 00 at its end");
    if (left < 8) source_.refuse("A02", at, fmt::format("the file ends in {} bytes", left), "a message");
    if (source_.number<std::uint32_t>(at) != 0xFFFFFFFFU)
      source_.refuse("A01", at, "no message", "FF FF FF FF, with which each begins");
    const auto size = source_.number<std::int32_t>(at + 4);
    at += 8;
    if (size == 0) return false;
    if (size < 8 || static_cast<std::size_t>(size) > left - 8)
      source_.refuse("A02", at - 4, fmt::format("metadata of {} bytes", size),
                     fmt::format("8 to {}, what the file holds", left - 8));
    const Flat flat{source_, at, at + static_cast<std::size_t>(size)};
    const Table root(flat, flat.follow(at));
    at = flat.end;
    const auto body = root.number<std::int64_t>(3, 0);
    if (body < 0 || static_cast<std::uint64_t>(body) > source_.bytes.size() - at)
      source_.refuse("A02", root.place(), fmt::format("a body of {} bytes", body),
                     fmt::format("at most {}, what the file holds", source_.bytes.size() - at));
    take(root, {at, static_cast<std::size_t>(body)});
    at += static_cast<std::size_t>(body);
    return true;
  }

  void take(const Table& root, const Span& body) {
    const int version = root.number<std::int16_t>(0, 0), kind = root.number<std::uint8_t>(1, 0);
    if (version != kVersion4 && version != kVersion5)
      source_.refuse("A04", root.place(), fmt::format("metadata version {}", version + 1), "version 4 or 5",
                     kSaveAgain);
    const auto header = root.table(2);
    if (!header) source_.refuse("A04", root.place(), "a message without a header", "a schema or rows");
    if ((kind == kSchema) != columns_.empty())
      source_.refuse(
          "A10", root.place(),
          fmt::format("message of kind {} {}", kind, columns_.empty() ? "first" : "after the schema"),
          "one schema, as the first message");
    if (kind == kSchema) return schema(*header);
    if (kind == kDictionary)
      source_.refuse("A09", root.place(), "a dictionary of values", "texts as they are", kSaveAgain);
    if (kind != kRecordBatch)
      source_.refuse("A04", root.place(), fmt::format("a message of kind {}", kind), "rows (kind 3)");
    rows(*header, body);
  }

  void schema(const Table& schema) {
    if (schema.number<std::int16_t>(0, 0) != 0)
      source_.refuse("A05", schema.place(), "numbers in big-endian order", "little-endian order", kSaveAgain);
    const Vector fields = schema.vector(1, 4);
    if (fields.count == 0 || fields.count > kMostColumns)
      source_.refuse("A05", schema.place(), fmt::format("{} columns", fields.count),
                     fmt::format("1 to {}", kMostColumns));
    for (std::uint32_t i = 0; i < fields.count; ++i) add_column(schema.element(fields, i));
    for (const std::string& name : wanted_)
      if (std::ranges::find(columns_, name, &Column::name) == columns_.end())
        source_.refuse("A08", schema.place(), fmt::format("no column \"{}\"", name), "a column of this name",
                       "check that this is the right data set");
  }

  void add_column(const Table& field) {
    const std::string name(field.text(0));
    const int type = field.number<std::uint8_t>(2, 0);
    if (type != kUtf8 && type != kLargeUtf8)
      source_.refuse("A06", field.place(), fmt::format("column \"{}\" of type {}", printable(name), type),
                     "texts: type 5 (utf8) or 20 (large_utf8)", kSaveAgain);
    if (field.has(4))
      source_.refuse("A09", field.place(), fmt::format("column \"{}\" by dictionary", printable(name)),
                     "texts as they are", kSaveAgain);
    if (field.vector(5, 4).count > 0)
      source_.refuse("A06", field.place(),
                     fmt::format("column \"{}\" with columns of its own", printable(name)), "texts");
    if (std::ranges::find(columns_, name, &Column::name) != columns_.end())
      source_.refuse("A07", field.place(), fmt::format("the column \"{}\" twice", printable(name)),
                     "every column once");
    columns_.push_back({name, type == kLargeUtf8});
  }

  void rows(const Table& batch, const Span& body) {
    const auto count = batch.number<std::int64_t>(0, 0);
    if (count < 0 || count > kMostRows - rows_)
      source_.refuse("A13", batch.place(), fmt::format("{} rows", count),
                     fmt::format("0 or more, {} in all at most", kMostRows));
    if (batch.has(3)) source_.refuse("A12", batch.place(), "compressed rows", "rows as they are", kSaveAgain);
    rows_ += count;
    const Vector nodes = batch.vector(1, 16), buffers = batch.vector(2, 16);
    if (nodes.count != columns_.size() || buffers.count != 3 * columns_.size())
      source_.refuse("A11", batch.place(),
                     fmt::format("{} columns in {} buffers", nodes.count, buffers.count),
                     fmt::format("{} columns in {} buffers", columns_.size(), 3 * columns_.size()));
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::size_t node = nodes.first + 16 * c;
      const auto length = source_.number<std::int64_t>(node), absent = source_.number<std::int64_t>(node + 8);
      if (length != count)
        source_.refuse("A13", node,
                       fmt::format("{} values in column \"{}\"", length, printable(columns_[c].name)),
                       fmt::format("{}, one for each row", count));
      if (absent != 0)
        source_.refuse("A14", node + 8,
                       fmt::format("{} absent values in column \"{}\"", absent, printable(columns_[c].name)),
                       "a text in every row", "fill in the texts, or remove the rows");
      buffer(buffers, 3 * c, body);  // which values are absent: none
      values(c, static_cast<std::uint64_t>(count), buffer(buffers, 3 * c + 1, body),
             buffer(buffers, 3 * c + 2, body));
    }
  }

  // Where buffer `i` of a batch lies in the file.
  Span buffer(const Vector& buffers, std::size_t i, const Span& body) const {
    const std::size_t at = buffers.first + 16 * i;
    const auto offset = source_.number<std::int64_t>(at), bytes = source_.number<std::int64_t>(at + 8);
    const auto room = static_cast<std::int64_t>(body.bytes);
    if (offset < 0 || offset > room || bytes < 0 || bytes > room - offset)
      source_.refuse("A15", at, fmt::format("a buffer of {} bytes at byte {} of its body", bytes, offset),
                     fmt::format("a part of the body's {} bytes", room));
    return {body.first + static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes)};
  }

  // Value r of a column is what lies between offsets r and r + 1.
  void values(std::size_t column, std::uint64_t count, const Span& offsets, const Span& data) {
    if (count == 0) return;
    const std::size_t width = columns_[column].large ? 8 : 4;
    if (count >= offsets.bytes / width)
      source_.refuse("A16", offsets.first,
                     fmt::format("{} bytes of offsets for {} rows", offsets.bytes, count),
                     fmt::format("{} bytes for each row, and as many more", width));
    const auto wanted = std::ranges::find(wanted_, columns_[column].name);
    std::vector<std::string>* texts =
        wanted == wanted_.end() ? nullptr : &texts_[static_cast<std::size_t>(wanted - wanted_.begin())];
    const auto offset = [&](std::uint64_t r) {
      const std::size_t at = offsets.first + static_cast<std::size_t>(r) * width;
      return width == 8 ? source_.number<std::int64_t>(at) : std::int64_t{source_.number<std::int32_t>(at)};
    };
    std::int64_t from = offset(0);
    for (std::uint64_t r = 0; r < count; ++r) {
      const std::int64_t to = offset(r + 1);
      if (from < 0 || to < from || static_cast<std::uint64_t>(to) > data.bytes)
        source_.refuse("A16", offsets.first + static_cast<std::size_t>(r) * width,
                       fmt::format("a text from byte {} to {}", from, to),
                       fmt::format("ascending places within {} bytes", data.bytes));
      const std::size_t first = data.first + static_cast<std::size_t>(from);
      const auto text = std::string_view(source_.bytes).substr(first, static_cast<std::size_t>(to - from));
      if (const std::size_t bad = invalid_utf8(text); bad != text.npos)
        source_.refuse("A17", first + bad,
                       fmt::format("invalid UTF-8 (\"{}\")", printable(text.substr(bad, 4))), "UTF-8 text");
      if (texts != nullptr) texts->emplace_back(text);
      from = to;
    }
  }

  Source source_;
  std::span<const std::string> wanted_;
  std::vector<Column> columns_;
  std::int64_t rows_ = 0;
  std::vector<std::vector<std::string>> texts_;  // of the wanted columns
};

}  // namespace

std::vector<std::vector<std::string>> read_arrow_texts(const std::string& path,
                                                       std::span<const std::string> wanted,
                                                       const std::string& code_prefix) {
  return Reader({path, code_prefix, read_text(path, Exit::kInput, code_prefix)}, wanted).read();
}

}  // namespace evictbench
