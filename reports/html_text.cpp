#include "reports/html_text.h"

#include <fmt/format.h>

#include "core/utf8.h"

namespace evictbench {
namespace {

bool is_visible(char32_t c) {
  if (c == '\n' || c == '\t') return true;
  if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0xfeff) return false;
  if ((c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x206f))
    return false;
  return (c & 0xfffe) != 0xfffe && !(c >= 0xfdd0 && c <= 0xfdef) && !(c >= 0xe0000 && c <= 0xe0fff);
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8 next = decode_utf8(text);
    if (!next.valid)
      out += "\ufffd";
    else if (next.code == '&')
      out += "&amp;";
    else if (next.code == '<')
      out += "&lt;";
    else if (next.code == '>')
      out += "&gt;";
    else if (next.code == '"')
      out += "&quot;";
    else if (next.code == '\'')
      out += "&#39;";
    else if (is_visible(next.code))
      out += text.substr(0, next.bytes);
    else
      out += fmt::format("\\u{{{:x}}}", static_cast<unsigned>(next.code));
    text.remove_prefix(next.bytes);
  }
  return out;
}

}  // namespace evictbench
