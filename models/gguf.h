#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/file.h"

// Strict reader of the GGUF container, versions 2 and 3, little-endian (format: docs/gguf.md of ggml). All that a
// header says is checked against the file before it is believed; whatever is not right is an Error with exit code 4
// (codes E-GG-..). What the keys and tensors mean is the business of gguf_config, gguf_weights and gguf_tokenizer.
namespace evictbench {

// How a tensor's elements are stored, of which `elements` share one block of `bytes`.
struct GgufType {
  std::uint32_t id;
  std::string_view name;  // "Q4_K"
  int elements, bytes;
};

struct GgufTensor {
  std::string name;
  const GgufType* type = nullptr;
  std::vector<std::int64_t> dims;      // [] is a scalar; the first one varies fastest: [in, out]
  std::uint64_t begin = 0, bytes = 0;  // in the file
};

// The double that is nearest to the shortest decimal of `value`: 1e-5 for 9.99999974e-06f, as the config had it that
// a file was converted from.
double as_written(float value);

// A regular file that ends in .gguf or begins as GGUF does; or nothing at all of such a name.
bool is_gguf(const std::string& path);

class Gguf {
 public:
  explicit Gguf(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in the order of the header
  const GgufTensor* find(std::string_view name) const;                 // nullptr: absent
  void read(const GgufTensor& tensor, std::uint64_t offset, std::span<std::byte> to) const;  // Thread-safe.
  const std::vector<std::string>& notes() const { return notes_; }

  // Values of keys: an absent key is nothing, a wrong type or range an Error.
  bool has(std::string_view key) const { return keys_.contains(key); }
  std::vector<std::string_view> keys() const;
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most) const;
  // A 32-bit value as_written.
  std::optional<double> number(std::string_view key, double least, double most) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;  // UTF-8
  std::optional<std::uint64_t> length(std::string_view key) const;   // of an array
  std::optional<std::vector<std::int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;
  std::optional<std::vector<std::string_view>> texts(std::string_view key) const;  // any bytes

  // The same for keys that must be there.
  std::int64_t integer_at(std::string_view key, std::int64_t least, std::int64_t most) const;
  double number_at(std::string_view key, double least, double most) const;
  std::string_view text_at(std::string_view key) const;
  std::vector<std::string_view> texts_at(std::string_view key) const;

  // position: a key, the name of a tensor, "byte 12". code "31" gives E-GG-31.
  [[noreturn]] void reject(std::string_view code, std::string_view position, const std::string& found,
                           const std::string& expected, const std::string& mend) const;

 private:
  enum class Kind : std::uint32_t {
    kU8,
    kI8,
    kU16,
    kI16,
    kU32,
    kI32,
    kF32,
    kBool,
    kText,
    kArray,
    kU64,
    kI64,
    kF64
  };
  static constexpr std::uint32_t kKinds = 13;
  struct Value {
    Kind kind, element;  // element: of an array
    std::uint64_t at,
        count;  // at: of the value, or of an array's first element, in header_; count: of elements
  };

  static std::string_view name_of(Kind kind);
  static std::uint64_t size_of(Kind kind);  // 0: as long as its content says

  // Reading the header from its start to its end.
  void need(std::uint64_t bytes, const char* what);
  template <class T>
  T take(const char* what);
  std::string_view take_text(const char* what, std::uint64_t most);
  void read_start(std::uint64_t& tensors, std::uint64_t& keys);
  void read_key();
  Kind take_kind(std::string_view key);
  void skip_value(Value& value, std::string_view key);
  void read_tensor();
  std::uint64_t bytes_of(const GgufTensor& tensor, std::string_view place) const;
  void place_tensors();
  void check_cover();

  const Value* find_value(std::string_view key) const;
  template <class T>
  T raw(std::uint64_t at) const {
    T value;
    std::memcpy(&value, header_.data() + at, sizeof value);
    return value;
  }
  std::int64_t integer_of(Kind kind, std::uint64_t at, std::string_view key) const;
  double number_of(Kind kind, std::uint64_t at) const;
  std::string_view text_of(std::uint64_t& at) const;  // moves on to what follows it
  [[noreturn]] void reject_kind(std::string_view key, const Value& value, const char* expected) const;
  [[noreturn]] void reject_absent(std::string_view key) const;

  File file_;
  std::string header_;    // the file's first bytes, at least all keys and tensor entries
  std::uint64_t at_ = 0;  // where reading stands
  std::uint64_t alignment_ = 32, data_begin_ = 0;
  std::map<std::string, Value, std::less<>> keys_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::vector<std::string> notes_;
};

}  // namespace evictbench
