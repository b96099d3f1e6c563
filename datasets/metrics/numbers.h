#pragma once

#include <string_view>

// LongBench's scores of answers that are a number: of all numbers in the answer, the share that is the due one. A number is a run
// of decimal digits of any script; it is compared as text, so "007" is not "7".
namespace evictbench {

double count_numbers(std::string_view answer, std::string_view reference);

// The due number is the first that follows "Paragraph " (in Chinese "段落") in the reference; without one the score is 0.
double retrieval(std::string_view answer, std::string_view reference);
double retrieval_zh(std::string_view answer, std::string_view reference);

}  // namespace evictbench
