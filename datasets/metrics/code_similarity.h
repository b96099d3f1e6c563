#pragma once

#include <string>
#include <string_view>

// LongBench's similarity of code: the first line of the answer that holds none of ` # // against the reference, in whole
// percent as fuzzywuzzy's ratio rounds it. Its ratio depends on what else is installed; the published numbers come from
// difflib.
namespace evictbench {

std::string_view first_code_line(std::string_view answer);  // "" if there is none

// Percent, 0 to 100; 100 for equal texts, 0 if one of two is empty.
int difflib_percent(std::string_view a,
                    std::string_view b);  // 2 M / (|a| + |b|), M in the blocks that SequenceMatcher finds
int indel_percent(std::string_view a,
                  std::string_view b);  // 2 LCS / (|a| + |b|), as python-Levenshtein has it

double code_sim(std::string_view answer, std::string_view reference);
double code_sim_levenshtein(std::string_view answer, std::string_view reference);

}  // namespace evictbench
