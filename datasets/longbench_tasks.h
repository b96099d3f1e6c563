#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/judge.h"
#include "datasets/metrics/metric.h"

// LongBench (Bai et al. 2023, arXiv:2308.14508): 21 tasks as data, one row each. Prompts and generation lengths are those of
// config/dataset2prompt.json and dataset2maxlen.json of THUDM/LongBench, letter by letter, its slips included.
namespace evictbench {

struct LongBenchTask {
  std::string_view name;      // and the stem of its files
  std::string_view category;  // as the leaderboard averages
  std::string_view metric;    // in all_metrics()
  int max_new = 0;            // answer tokens
  int records = 0;            // of LongBench
  int e_records = 0;          // of LongBench-E; 0: not one of its 13 tasks
  bool chinese = false;
  bool plain = false;       // its prompt goes into no chat template
  bool first_line = false;  // of an answer the first line is scored
  bool line_ends = false;   // a line feed ends an answer
  bool reported = false;    // one of the 16 that papers on eviction report

  // The official prompt, cut where the context ends and where the answer begins. {context} and {input} stand for the
  // record's fields.
  std::string_view context, question, answer_prefix;
  std::string_view cue{};  // what ends the input, where the answer's beginning is part of it: "Type:"
};

std::span<const LongBenchTask> longbench_tasks();            // in LongBench's order
const LongBenchTask* longbench_task(std::string_view name);  // null: no such task

// The fields put in, in one pass: braces in them are not read again.
std::string fill_in(std::string_view piece, std::string_view context, std::string_view input);

Judge judge_of(const LongBenchTask& task);
bool needs_segmenter(const LongBenchTask& task);

// LongBench-E looks at lengths (a record's own field) apart.
constexpr std::array<std::string_view, 3> kLengthBuckets{"0-4k", "4-8k", "8k+"};
std::size_t length_bucket(int length);

}  // namespace evictbench
