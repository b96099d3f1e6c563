#pragma once

#include <string_view>

#include "datasets/segmenter.h"

// ROUGE as the Python package `rouge` 1.0.1 computes it, which LongBench uses: sentences end at ASCII full stops only, words
// at single spaces, nothing is lower-cased or stemmed, and words (or pairs) count once however often they stand there.
// Not Google's rouge_score: that is in rouge_score.h, and the two differ by points.
namespace evictbench {

double rouge_1(std::string_view answer, std::string_view reference);
double rouge_2(std::string_view answer, std::string_view reference);

// F = 2 P R / (P + R + 1e-8) over the distinct words on the longest common subsequences of all pairs of sentences. The
// package's recursion limit, which makes it give up on sentences of about a thousand words, is not reproduced.
double rouge_l(std::string_view answer, std::string_view reference);
double rouge_l_zh(const Segmenter& segmenter, std::string_view answer, std::string_view reference);

}  // namespace evictbench
