#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reports/statistics.h"

// The masking ablation: what is left of a task's scores when heads are masked.
namespace evictbench {

struct Ablation {
  // A mask: the best K heads by one kind of score, or K heads at random.
  struct Mask {
    std::string kind;        // "none", "random", or one of `kinds`
    int count = 0;           // K
    int draw = 0;            // which of the random ones
    std::vector<int> heads;  // [K] layer * H + head
  };
  struct Example {
    std::string task, id;
    int length = 0;  // 0 and -1 where it has none
    double depth = -1;
    std::vector<std::map<std::string, double>> scores;  // [masks] by name
  };
  int heads_per_layer = 0;         // H
  std::vector<std::string> kinds;  // of head scores, as they were given
  std::vector<int> counts;         // K > 0, ascending
  int draws = 0;
  std::vector<Mask> masks;
  std::vector<Example> examples;
  std::map<std::string, std::string> main_scores;          // task -> the score that is shown first
  std::vector<std::pair<std::string, std::string>> facts;  // how it was made, in this order
};

// One kind at one K, for one task and score. A random mask counts by the mean over its draws.
struct AblationPoint {
  int count = 0;                  // K
  Estimate score;                 // over the examples
  std::optional<Interval> draws;  // of a random one: the mean score at the worst and at the best draw
  std::optional<Estimate> cost;   // of a kind: random minus this, paired by example
  std::map<std::pair<double, int>, std::pair<double, std::size_t>> cells;  // depth, length -> mean, examples
};

struct AblationTable {
  std::string task, score;
  bool main = false;
  AblationPoint none;  // nothing masked
  struct Row {
    std::string kind;
    std::vector<AblationPoint> points;  // [counts]
  };
  std::vector<Row> rows;  // [kinds], then random
};

// By task in order of the examples, the main score first.
std::vector<AblationTable> ablation_tables(const Ablation& all);

std::string ablation_json(const Ablation& all);     // everything, on one line
std::string ablation_summary(const Ablation& all);  // the main scores, for a terminal

// File name and content: ablation.json, ablation.csv, ablation.md, ablation.html.
std::vector<std::pair<std::string, std::string>> ablation_files(const Ablation& all);

}  // namespace evictbench
