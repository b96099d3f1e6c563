#pragma once

#include <string>
#include <string_view>

namespace evictbench {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Every maximal piece of a broken character becomes one U+FFFD, as Unicode recommends (chapter 3.9).
// `by_byte`: every byte of it does.
std::string valid_utf8(std::string text, bool by_byte = false);
// How many bytes at the end of `text` may be the start of a character: 0 to 3.
std::size_t unfinished_utf8(std::string_view text);

// `from` must not be empty.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

bool is_white_space(char32_t code);     // the property White_Space
bool is_word_character(char32_t code);  // letters, marks, digits, connectors: \w

// Of valid UTF-8.
std::size_t before_last(std::string_view text);  // length without the last character; not of nothing
std::string_view without_end_space(std::string_view text);
std::string_view without_start_space(std::string_view text);

}  // namespace evictbench
