#pragma once

#include <string>
#include <string_view>
#include <vector>

// Answers and references as words. More metrics, and the list of all of them, are in datasets/metrics.
namespace evictbench {

// The words of a text, case-folded, without punctuation. An apostrophe between letters and a point or comma between
// digits stay inside their word; a symbol is a word of its own, and so is each character of a script that is written
// without spaces.
std::vector<std::string> words_of(std::string_view text);

// Whether `phrase` stands in `text` as consecutive whole words. An empty phrase stands nowhere.
bool contains_words(const std::vector<std::string>& text, const std::vector<std::string>& phrase);

// 1 if the reference stands in the answer as whole words ("12345" does not stand in "123456"), else 0.
double exact(std::string_view answer, std::string_view reference);

// The published heat maps' score: the share of the reference's distinct lower-case words, split at white space with
// their punctuation, that the answer has too.
double word_overlap(std::string_view answer, std::string_view reference);

}  // namespace evictbench
