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

std::string valid_utf8(std::string text) {
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
      rest.remove_prefix(broken_bytes(rest));
    }
  }
  return out;
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
         code == 0x200c || code == 0x200d;
}

}  // namespace evictbench
