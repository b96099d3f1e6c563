#pragma once

#include <string_view>

// ROUGE as Google's Python package rouge_score 0.1.2 has it with stemming: words are runs of [a-z0-9] in lower case, those
// of more than three characters as Porter stems.
namespace evictbench {

struct Rouge {
  double precision = 0, recall = 0, f = 0;
};
Rouge rouge1(std::string_view answer, std::string_view reference);      // words, with their counts
Rouge rouge2(std::string_view answer, std::string_view reference);      // pairs of neighbours
Rouge rouge_long(std::string_view answer, std::string_view reference);  // rougeL: longest common subsequence
Rouge rouge_long_sum(std::string_view answer,
                     std::string_view reference);  // rougeLsum: its union over pairs of lines

double rouge1_recall(std::string_view answer, std::string_view reference);

}  // namespace evictbench
