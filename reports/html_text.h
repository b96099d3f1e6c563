#pragma once

#include <string>
#include <string_view>

namespace evictbench {

// Untrusted text for HTML and SVG, between tags and in quoted attributes: markup is escaped, bytes that are not
// UTF-8 are U+FFFD, and characters that hide or reorder text are shown as \u{code}.
std::string escape_html(std::string_view text);

}  // namespace evictbench
