#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "datasets/longbench_tasks.h"

// Stored answers in LongBench's format, scored without a model: a folder with <task>.jsonl, a line each
//   {"pred": "..", "answers": [".."], "all_classes": null or [".."], "length": 8616}
// and more members at will, of which `_id` names the record. Errors: E-PR-.., exit 4.
namespace evictbench {

struct PredictionScores {
  const LongBenchTask* task = nullptr;
  std::string_view metric;
  std::size_t records = 0;
  double score = 0;                                  // percent
  std::array<std::optional<double>, 3> by_length{};  // percent, by kLengthBuckets; nothing where no record is
  std::vector<std::string> warnings;                 // what makes the scores doubtful
};

enum class LongBench { kWhole, kByLength };  // LongBench, LongBench-E

// As published, `all_classes` of the last line holds for every line. `metric`: in place of the task's, or empty.
PredictionScores score_predictions(const std::string& path, const LongBenchTask& task, LongBench which,
                                   const Segmenter* segmenter, std::string_view metric = "");

// Tasks whose files a folder holds, in LongBench's order; none is an Error. `strangers`: other .jsonl files.
std::vector<const LongBenchTask*> predicted_tasks(const std::string& folder,
                                                  std::vector<std::string>& strangers);

// For a look at a folder: whether a file's first line is an answer; how many there are, read as strictly as for scoring.
bool are_predictions(const std::string& path);
std::size_t count_predictions(const std::string& path, const LongBenchTask& task,
                              std::vector<std::string>& warnings);

double rounded(double percent);  // to two decimals, as Python's round

}  // namespace evictbench
