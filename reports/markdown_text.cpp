#include "reports/markdown_text.h"

#include <string_view>

#include "core/error.h"

namespace evictbench {

std::string escape_markdown(const std::string& text) {
  std::string out;
  for (const char c : printable(text, 400)) {
    if (c == '<' || c == '>' || c == '&') {
      out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&amp;";
      continue;
    }
    if (std::string_view("\\`*_[]#|~").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace evictbench
