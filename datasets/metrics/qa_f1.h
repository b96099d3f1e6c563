#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datasets/segmenter.h"

// Answers as bags of words, as SQuAD and LongBench compare them.
namespace evictbench {

// Lower case, ASCII punctuation deleted, then the articles a, an and the where they stand alone; split at white space.
std::vector<std::string> answer_words(std::string_view text);

double qa_f1(std::string_view answer, std::string_view reference);
double exact_match(std::string_view answer, std::string_view reference);  // of answer_words

// Words by `segmenter`, each in lower case without punctuation and white space; empty ones do not count.
double qa_f1_zh(const Segmenter& segmenter, std::string_view answer, std::string_view reference);

}  // namespace evictbench
