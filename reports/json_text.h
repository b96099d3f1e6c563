#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// JSON out: the same values give the same bytes on every machine.
namespace evictbench {

// `text` with U+FFFD for each byte that is not UTF-8.
std::string valid_utf8(std::string_view text);

// Shortest decimal that reads back as the same double; `value` must be finite.
std::string shortest(double value);

// Writes one document, member by member, in the order of the calls.
class JsonText {
 public:
  explicit JsonText(int indent = 0) : indent_(indent) {}  // blanks per level; 0: one line without blanks

  JsonText& open(char bracket);  // '{' or '['
  JsonText& close();
  JsonText& key(std::string_view name);
  JsonText& text(std::string_view value);
  JsonText& number(double value);
  JsonText& integer(std::int64_t value);
  JsonText& boolean(bool value);
  JsonText& null();
  const std::string& str() const { return out_; }

 private:
  void separate();
  void new_line();
  JsonText& token(std::string_view token);
  std::string out_, closers_;
  int indent_;
  bool first_ = true, after_key_ = false;  // in the innermost bracket
};

}  // namespace evictbench
