#include "datasets/porter.h"

#include <span>
#include <string_view>
#include <utility>

namespace evictbench {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

// Whole words that the rules would spoil.
constexpr Pair kIrregular[] = {
    {"skies", "sky"},      {"dying", "die"},       {"lying", "lie"},        {"tying", "tie"},
    {"innings", "inning"}, {"outings", "outing"},  {"cannings", "canning"}, {"sky", "sky"},
    {"news", "news"},      {"inning", "inning"},   {"outing", "outing"},    {"canning", "canning"},
    {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"}};

// Suffix and what takes its place when the stem before it is long enough. The first suffix that fits decides.
constexpr Pair kStep2[] = {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
                           {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
                           {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
                           {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
                           {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
                           {"fulli", "ful"},   {"logi", "log"}};
constexpr Pair kStep3[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                           {"ical", "ic"},  {"ful", ""},   {"ness", ""}};
constexpr std::string_view kStep4[] = {"al",  "ance",  "ence", "er",  "ic",  "able", "ible",
                                       "ant", "ement", "ment", "ent", "ion", "ou",   "ism",
                                       "ate", "iti",   "ous",  "ive", "ize"};

bool is_consonant(std::string_view word, std::size_t i) {
  switch (word[i]) {
    case 'a':
    case 'e':
    case 'i':
    case 'o':
    case 'u':
      return false;
    case 'y': {  // a consonant at the start and after a vowel; a run of y alternates
      std::size_t first = i;
      while (first > 0 && word[first - 1] == 'y') --first;
      const bool first_is = first == 0 || !is_consonant(word, first - 1);
      return first_is == ((i - first) % 2 == 0);
    }
    default:
      return true;
  }
}

// Porter's m: how often a vowel is followed by a consonant.
int measure(std::string_view stem) {
  int m = 0;
  for (std::size_t i = 1; i < stem.size(); ++i) m += !is_consonant(stem, i - 1) && is_consonant(stem, i);
  return m;
}

bool has_vowel(std::string_view stem) {
  for (std::size_t i = 0; i < stem.size(); ++i)
    if (!is_consonant(stem, i)) return true;
  return false;
}

bool ends_double_consonant(std::string_view word) {
  const std::size_t n = word.size();
  return n >= 2 && word[n - 1] == word[n - 2] && is_consonant(word, n - 1);
}

// Consonant, vowel, consonant other than w, x, y ("hop"), or a word of vowel and consonant ("ax").
bool ends_cvc(std::string_view word) {
  const std::size_t n = word.size();
  if (n == 2) return !is_consonant(word, 0) && is_consonant(word, 1);
  return n >= 3 && is_consonant(word, n - 3) && !is_consonant(word, n - 2) && is_consonant(word, n - 1) &&
         word[n - 1] != 'w' && word[n - 1] != 'x' && word[n - 1] != 'y';
}

std::string_view without(std::string_view word, std::size_t letters) {
  return word.substr(0, word.size() - letters);
}

void replace_end(std::string& word, std::size_t letters, std::string_view by) {
  word.resize(word.size() - letters);
  word += by;
}

void step_1a(std::string& word) {  // plurals
  if (word.ends_with("ies"))
    replace_end(word, 3, word.size() == 4 ? "ie" : "i");
  else if (word.ends_with("sses"))
    replace_end(word, 2, "");
  else if (word.ends_with("s") && !word.ends_with("ss"))
    replace_end(word, 1, "");
}

void step_1b(std::string& word) {  // -ed, -ing
  if (word.ends_with("ied")) return replace_end(word, 3, word.size() == 4 ? "ie" : "i");
  if (word.ends_with("eed")) {
    if (measure(without(word, 3)) > 0) replace_end(word, 1, "");
    return;
  }
  const std::size_t letters = word.ends_with("ed") ? 2 : word.ends_with("ing") ? 3 : 0;
  if (letters == 0 || !has_vowel(without(word, letters))) return;
  replace_end(word, letters, "");
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz")) {
    word += 'e';
  } else if (ends_double_consonant(word)) {
    const char last = word.back();
    if (last != 'l' && last != 's' && last != 'z') word.pop_back();
  } else if (measure(word) == 1 && ends_cvc(word)) {
    word += 'e';
  }
}

void step_1c(std::string& word) {  // -y after a consonant that is not the first letter
  const std::size_t n = word.size();
  if (n > 2 && word.back() == 'y' && is_consonant(word, n - 2)) word.back() = 'i';
}

void replace_first(std::string& word, std::span<const Pair> rules) {
  for (const auto& [suffix, by] : rules)
    if (word.ends_with(suffix)) {
      if (measure(without(word, suffix.size())) > 0) replace_end(word, suffix.size(), by);
      return;
    }
}

void step_2(std::string& word) {
  while (word.ends_with("alli") && measure(without(word, 4)) > 0) replace_end(word, 2, "");
  if (word.ends_with("logi")) {  // here the measure counts the "l" as well
    if (measure(without(word, 3)) > 0) word.pop_back();
    return;
  }
  replace_first(word, kStep2);
}

void step_4(std::string& word) {
  for (const auto suffix : kStep4) {
    if (!word.ends_with(suffix)) continue;
    const std::string_view stem = without(word, suffix.size());
    const bool allowed = suffix != "ion" || stem.ends_with('s') || stem.ends_with('t');
    if (allowed && measure(stem) > 1) word.resize(stem.size());
    return;
  }
}

void step_5(std::string& word) {
  if (word.ends_with('e')) {
    const std::string_view stem = without(word, 1);
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_cvc(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(without(word, 1)) > 1) word.pop_back();
}

}  // namespace

std::string porter_stem(std::string word) {
  for (const auto& [form, stem] : kIrregular)
    if (word == form) return std::string(stem);
  if (word.size() <= 2) return word;
  step_1a(word);
  step_1b(word);
  step_1c(word);
  step_2(word);
  replace_first(word, kStep3);
  step_4(word);
  step_5(word);
  return word;
}

}  // namespace evictbench
