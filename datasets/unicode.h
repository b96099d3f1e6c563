#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Just enough Unicode for prompts and scores. The tables are utf8proc's. Bytes that are not UTF-8 (a model may
// produce them) read as U+FFFD, one each.
namespace evictbench {

// The code point that begins at byte `at`; moves `at` behind it.
char32_t next_code_point(std::string_view text, std::size_t& at);

std::size_t count_code_points(std::string_view text);
std::u32string code_points(std::string_view text);
void append_code_point(std::string& text, char32_t c);

bool is_space(char32_t c);     // as Python's str.split() has it
bool is_letter(char32_t c);    // letters and combining marks
bool is_mark(char32_t c);      // combining marks
bool is_number(char32_t c);    // digits and other numbers
bool is_decimal(char32_t c);   // digits of any script that stand for 0 to 9, as \d of Python's re
bool is_word(char32_t c);      // \w of Python's re
bool is_symbol(char32_t c);    // currency, arithmetic, emoji; no punctuation
bool is_unspaced(char32_t c);  // of a script written without spaces: Han, kana, Thai, ...

std::string lower(std::string_view text);          // as Python's str.lower()
std::string fold_case(std::string_view text);      // full case folding, composed (NFC)
std::string_view stripped(std::string_view text);  // as Python's str.strip()
void replace_all(std::string& text, std::string_view from, std::string_view to);  // as Python's str.replace()

}  // namespace evictbench
