#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

// Strict JSON: duplicate keys, depth, NaN, invalid UTF-8, numbers out of range and wrong kinds are errors with
// file, line:column and JSON pointer. The parser underneath is nlohmann::json.
// Codes after the prefix: J01 not JSON, J02 not UTF-8, J03 too deep or too large, J04 a key twice, J05 wrong kind,
// J06 number out of range, J07 absent key; files add those of core/io/file.h.
namespace evictbench {

struct JsonRules {
  Exit exit = Exit::kInput;
  std::string code_prefix = "E-JS";  // "E-CF" gives E-CF-01...
  int depth = 64;
  std::uint64_t bytes = std::uint64_t{1} << 30;
  std::uint64_t values = std::uint64_t{1}
                         << 26;  // bounds the memory: about 60 bytes each, keys and strings apart
  std::optional<std::uint64_t> first_byte =
      std::nullopt;            // of a text inside a binary file: positions count bytes from there
  std::size_t first_line = 1;  // of a text that is one line of a file
};

// A value of a parsed document. Cheap to copy; keeps the document alive.
class Json {
 public:
  static Json from_file(const std::string& path, const JsonRules& rules);
  static Json from_text(std::string text, const std::string& file_name, const JsonRules& rules);

  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_string() const;
  bool is_number() const;
  bool is_integer() const;
  bool is_boolean() const;

  // Typed values; a wrong kind, a value out of range or a fraction where an integer is due is an Error.
  std::int64_t integer(std::int64_t least = INT64_MIN, std::int64_t most = INT64_MAX) const;
  double number(double least, double most) const;  // finite
  bool boolean() const;
  const std::string& string() const;

  std::size_t size() const;                                 // of an array or object
  Json operator[](std::size_t index) const;                 // of an array
  std::vector<std::pair<std::string, Json>> items() const;  // of an object, in file order
  bool has(std::string_view key) const;                     // also one that is null
  Json at(std::string_view key) const;                      // an absent key is an Error
  std::optional<Json> find(std::string_view key) const;     // absent or null: nothing

  const std::string& file() const;
  // The next two look for the place again, in time linear in the text: for messages.
  std::string pointer() const;   // "/model/vocab/a~1b"
  std::string position() const;  // "12:31 /weight_map/lm_head.weight"
  [[noreturn]] void reject(std::string_view code, const std::string& found, const std::string& expected,
                           const std::string& mend) const;  // code "31" gives E-CF-31

 private:
  struct Node;
  struct Document;
  struct Builder;
  Json(std::shared_ptr<const Document> document, std::uint32_t node);
  const Node& node() const;
  std::optional<std::uint32_t> child(std::string_view key) const;
  [[noreturn]] void reject_kind(const std::string& expected) const;
  [[noreturn]] void reject_range(const std::string& expected) const;
  std::shared_ptr<const Document> document_;
  std::uint32_t node_ = 0;
};

}  // namespace evictbench
