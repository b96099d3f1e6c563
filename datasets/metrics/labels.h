#pragma once

#include <span>
#include <string>
#include <string_view>

#include "datasets/metrics/metric.h"

// Scores of answers that name one of a list of labels.
namespace evictbench {

// LongBench: the classes that stand in the answer, without those that are part of the due one; 1 / their number if the due
// one is among them, else 0. Letter case counts.
double classification(std::string_view answer, std::string_view reference,
                      std::span<const std::string> classes);

// BABILong: of the labels (`classes`) that the answer's first sentence holds and the question does not, exactly the due
// ones. Labels match anywhere, also inside words: as published, "none" never scores where "one" is a label too.
double babilong_match(const MetricInput& in);
double babilong_words(const MetricInput& in);  // labels as whole words

}  // namespace evictbench
