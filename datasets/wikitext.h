#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// WikiText (Merity et al. 2016, arXiv:1609.07843) as the task `wikitext` of lm-evaluation-harness has it: pages of the
// tokenised files, written as plain text before a model sees them, and counted as they were.
namespace evictbench {

// A page begins at a heading of the first level, "= Title =". Blank ones are left out, unless they come last.
std::vector<std::string> wikitext_pages(std::string_view text);

// A page as plain text: marks and numbers joined to their words again, headings as "== Title ==".
std::string wikitext_detokenized(std::string page);

// Pieces between runs of white space, the empty ones before the first and behind the last included, as Python's
// re.split(r"\s+", text) gives them: a blank text has two, an empty one has one.
std::int64_t count_split_words(std::string_view text);

}  // namespace evictbench
