#pragma once

#include <string>
#include <string_view>

namespace evictbench {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Every maximal piece of a broken character becomes one U+FFFD, as Unicode recommends (chapter 3.9).
std::string valid_utf8(std::string text);

// `from` must not be empty.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

bool is_white_space(char32_t code);     // the property White_Space
bool is_word_character(char32_t code);  // letters, marks, digits, connectors: \w

}  // namespace evictbench
