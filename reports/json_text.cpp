#include "reports/json_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "core/error.h"
#include "core/utf8.h"

namespace evictbench {
namespace {

// Controls must be escaped; the Unicode line ends are, because some readers cut JSON lines there.
bool is_plain(char32_t c) {
  return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && c != 0x85 && c != 0x2028 && c != 0x2029;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8 next = decode_utf8(text);
    if (!next.valid)
      out += "\ufffd";
    else if (is_plain(next.code))
      out += text.substr(0, next.bytes);
    else if (next.code == '"' || next.code == '\\')
      (out += '\\') += static_cast<char>(next.code);
    else
      out += next.code == '\n' ? "\\n" : fmt::format("\\u{:04x}", static_cast<unsigned>(next.code));
    text.remove_prefix(next.bytes);
  }
  return out += '"';
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8 next = decode_utf8(text);
    out += next.valid ? text.substr(0, next.bytes) : "\ufffd";
    text.remove_prefix(next.bytes);
  }
  return out;
}

std::string shortest(double value) {
  require(std::isfinite(value), "a number that is not finite was to be written as JSON");
  if (value == 0) return std::signbit(value) ? "-0.0" : "0";  // "-0" would be read as the integer 0
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  require(error == std::errc{}, "a number did not fit its text");
  return {digits, end};
}

JsonText& JsonText::open(char bracket) {
  separate();
  out_ += bracket;
  closers_ += bracket == '{' ? '}' : ']';
  first_ = true;
  return *this;
}

JsonText& JsonText::close() {
  const char closer = closers_.back();
  closers_.pop_back();
  if (!first_) new_line();
  out_ += closer;
  first_ = false;
  return *this;
}

JsonText& JsonText::key(std::string_view name) {
  separate();
  out_ += quoted(name) + (indent_ > 0 ? ": " : ":");
  after_key_ = true;
  return *this;
}

JsonText& JsonText::text(std::string_view value) { return token(quoted(value)); }
JsonText& JsonText::number(double value) { return token(shortest(value)); }
JsonText& JsonText::integer(std::int64_t value) { return token(std::to_string(value)); }
JsonText& JsonText::boolean(bool value) { return token(value ? "true" : "false"); }
JsonText& JsonText::null() { return token("null"); }

JsonText& JsonText::token(std::string_view token) {
  separate();
  out_ += token;
  return *this;
}

void JsonText::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (closers_.empty()) return;
  if (!first_) out_ += ',';
  first_ = false;
  new_line();
}

void JsonText::new_line() {
  if (indent_ > 0) out_ += '\n' + std::string(closers_.size() * static_cast<std::size_t>(indent_), ' ');
}

}  // namespace evictbench
