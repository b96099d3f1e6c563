#include "datasets/unicode.h"

#include <utf8proc.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace evictbench {
namespace {

bool within(char32_t c, char32_t first, char32_t last) { return first <= c && c <= last; }

utf8proc_category_t category_of(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// Unicode's Case_Ignorable: marks, formats, modifiers, and what may stand inside a word.
bool is_case_ignorable(char32_t c) {
  constexpr std::u32string_view kInside =
      U"'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a";
  const auto category = category_of(c);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
         category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
         category == UTF8PROC_CATEGORY_SK || kInside.find(c) != kInside.npos;
}

bool is_cased(char32_t c) {
  const auto category = category_of(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

// Whether a capital sigma that ends before byte `at` ends a word; `after_cased`: a word has begun.
bool ends_word(std::string_view text, std::size_t at, bool after_cased) {
  while (after_cased && at < text.size())
    if (const char32_t c = next_code_point(text, at); !is_case_ignorable(c)) return !is_cased(c);
  return after_cased;
}

}  // namespace

char32_t next_code_point(std::string_view text, std::size_t& at) {
  const Utf8 next = decode_utf8(text.substr(at));
  at += next.bytes;
  return next.valid ? next.code : 0xFFFD;
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) next_code_point(text, at);
  return count;
}

std::u32string code_points(std::string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) out += next_code_point(text, at);
  return out;
}

void append_code_point(std::string& text, char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(n));
}

bool is_space(char32_t c) {
  return within(c, 0x09, 0x0D) || within(c, 0x1C, 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         within(c, 0x2000, 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_letter(char32_t c) {
  const auto category = category_of(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME;
}

bool is_mark(char32_t c) {
  const auto category = category_of(c);
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool is_number(char32_t c) {
  const auto category = category_of(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool is_decimal(char32_t c) { return category_of(c) == UTF8PROC_CATEGORY_ND; }

bool is_word(char32_t c) { return c == '_' || is_number(c) || (is_letter(c) && !is_mark(c)); }

bool is_symbol(char32_t c) {
  const auto category = category_of(c);
  return category >= UTF8PROC_CATEGORY_SM && category <= UTF8PROC_CATEGORY_SO;
}

bool is_unspaced(char32_t c) {
  return within(c, 0x0E00, 0x0EFF) || within(c, 0x1000, 0x109F) || within(c, 0x1780, 0x17FF) ||
         within(c, 0x2E80, 0x2FDF) || within(c, 0x3001, 0x30FF) || within(c, 0x3400, 0x4DBF) ||
         within(c, 0x4E00, 0x9FFF) || within(c, 0xF900, 0xFAFF) || within(c, 0xFF01, 0xFF0F) ||
         within(c, 0xFF1A, 0xFF1F) || within(c, 0x20000, 0x3FFFF);
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool after_cased = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c < 0x80)
      out += static_cast<char>('A' <= c && c <= 'Z' ? c + 0x20 : c);
    else if (c == 0x130)
      out += "i\u0307";  // the one letter whose small form is two code points
    else if (c == 0x3A3)
      out += ends_word(text, at, after_cased) ? "\u03c2" : "\u03c3";
    else
      append_code_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    if (!is_case_ignorable(c)) after_cased = is_cased(c);
  }
  return out;
}

std::string fold_case(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) append_code_point(valid, next_code_point(text, at));
  utf8proc_uint8_t* folded = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
  const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                              static_cast<utf8proc_ssize_t>(valid.size()), &folded, options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(folded, &std::free);
  require(n >= 0, "utf8proc refused valid UTF-8");
  return {reinterpret_cast<const char*>(folded), static_cast<std::size_t>(n)};
}

std::string_view stripped(std::string_view text) {
  std::size_t first = text.size(), last = text.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    if (is_space(next_code_point(text, at))) continue;
    first = std::min(first, start);
    last = at;
  }
  return text.substr(first, last - first);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t next; (next = text.find(from, at)) != text.npos; at = next + from.size())
    out.append(text, at, next - at).append(to);
  if (at > 0) text = std::move(out.append(text, at));
}

}  // namespace evictbench
