#include "datasets/text_metrics.h"

#include <algorithm>
#include <set>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

bool is_apostrophe(char32_t c) { return c == '\'' || c == 0x2019; }

// Whether punctuation `c` between the characters `before` and `after` belongs to one word.
bool joins(char32_t before, char32_t c, char32_t after) {
  if (is_apostrophe(c)) return is_letter(before) && is_letter(after);
  return (c == '.' || c == ',') && is_number(before) && is_number(after);
}

std::set<std::string> distinct_words(std::string_view text) {
  std::set<std::string> out;
  std::string word;
  const std::string small = lower(text) + " ";
  for (std::size_t at = 0; at < small.size();) {
    const std::size_t first = at;
    if (!is_space(next_code_point(small, at))) {
      word.append(small, first, at - first);
    } else if (!word.empty()) {
      out.insert(std::move(word));
      word.clear();
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  const std::string folded = fold_case(text);
  std::vector<std::string> out;
  bool open = false;  // the last word may still grow
  char32_t before = ' ';
  for (std::size_t at = 0; at < folded.size();) {
    const std::size_t first = at;
    const char32_t c = next_code_point(folded, at);
    const bool plain = is_letter(c) || is_number(c);
    std::size_t peek = at;
    const char32_t after = peek < folded.size() ? next_code_point(folded, peek) : ' ';
    const std::string_view bytes(folded.data() + first, at - first);
    if (is_symbol(c) || (plain && is_unspaced(c))) {
      out.emplace_back(bytes);
      open = false;
    } else if (plain && !open) {
      out.emplace_back(bytes);
      open = true;
    } else if (open && (plain || joins(before, c, after))) {
      out.back() += bytes;
    } else {
      open = false;
    }
    before = c;
  }
  return out;
}

bool contains_words(const std::vector<std::string>& text, const std::vector<std::string>& phrase) {
  return !phrase.empty() && std::ranges::search(text, phrase).begin() != text.end();
}

double exact(std::string_view answer, std::string_view reference) {
  return contains_words(words_of(answer), words_of(reference)) ? 1.0 : 0.0;
}

double word_overlap(std::string_view answer, std::string_view reference) {
  const auto said = distinct_words(answer);
  const auto due = distinct_words(reference);
  if (due.empty()) return 0;
  const auto common = std::ranges::count_if(due, [&](const auto& word) { return said.contains(word); });
  return static_cast<double>(common) / static_cast<double>(due.size());
}

}  // namespace evictbench
