#include "models/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "core/io/file.h"
#include "core/utf8.h"

namespace evictbench {
namespace {

// How many bytes the broken character at the front of `text` spans: its lead and what may follow that lead.
std::size_t broken_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0xc2 || lead > 0xf4) return 1;
  const std::size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  unsigned least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  std::size_t bytes = 1;
  while (bytes < whole && bytes < text.size() && byte(bytes) >= least && byte(bytes) <= most) {
    ++bytes;
    least = 0x80, most = 0xbf;
  }
  return bytes;
}

}  // namespace

std::string valid_utf8(std::string text, bool by_byte) {
  std::size_t bad = invalid_utf8(text);
  if (bad == std::string::npos) return text;
  std::string out;
  std::string_view rest = text;
  while (!rest.empty()) {
    if (const Utf8 next = decode_utf8(rest); next.valid) {
      out += rest.substr(0, next.bytes);
      rest.remove_prefix(next.bytes);
    } else {
      out += kReplacement;
      rest.remove_prefix(by_byte ? 1 : broken_bytes(rest));
    }
  }
  return out;
}

std::size_t unfinished_utf8(std::string_view text) {
  for (std::size_t bytes = 1; bytes <= 3 && bytes <= text.size(); ++bytes) {
    const std::string_view tail = text.substr(text.size() - bytes);
    const auto lead = static_cast<unsigned char>(tail.front());
    if ((lead & 0xc0) == 0x80) continue;
    const std::size_t whole = lead < 0xc2 || lead > 0xf4 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    return bytes < whole && broken_bytes(tail) == bytes ? bytes : 0;
  }
  return 0;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t found = std::min(text.find(from, at), text.size());
    out += text.substr(at, found - at);
    if (found < text.size()) out += to;
    at = found + from.size();
  }
  return out;
}

bool is_white_space(char32_t code) {
  if ((code >= 0x09 && code <= 0x0d) || code == 0x85) return true;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool is_word_character(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return (category >= UTF8PROC_CATEGORY_LU &&
          category <= UTF8PROC_CATEGORY_NL) ||  // Lu ... Lo, Mn ... Me, Nd, Nl
         category == UTF8PROC_CATEGORY_PC ||
         code == 0x200c || code == 0x200d || (code >= 0x24b6 && code <= 0x24e9) ||  // letters in circles
         (code >= 0x1f130 && code <= 0x1f149) || (code >= 0x1f150 && code <= 0x1f169) ||  // and squares
         (code >= 0x1f170 && code <= 0x1f189);
}

std::size_t before_last(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
  return start;
}

std::string_view without_end_space(std::string_view text) {
  while (!text.empty() && is_white_space(decode_utf8(text.substr(before_last(text))).code))
    text = text.substr(0, before_last(text));
  return text;
}

std::string_view without_start_space(std::string_view text) {
  while (!text.empty() && is_white_space(decode_utf8(text).code)) text.remove_prefix(decode_utf8(text).bytes);
  return text;
}

}  // namespace evictbench
