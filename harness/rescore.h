#pragma once

#include <map>
#include <string>
#include <vector>

namespace evictbench {

class Segmenter;

// The answers of a point to the examples of a task, judged again.
struct Rescored {
  std::string task, point;  // point: policy, budget, protocol
  std::string metric;
  std::size_t records = 0;  // with an answer
  std::size_t changed = 0;  // whose score is not the one that their record holds
  double score = 0;         // percent, the mean
};

// Of a results folder, by the metrics that judged it or, by task, by `metrics`; needs no data and no model. In the order of the
// records. A task that is scored by Chinese words is an Error without a segmenter.
std::vector<Rescored> rescore(const std::string& folder, const std::map<std::string, std::string>& metrics,
                              const Segmenter* segmenter);

}  // namespace evictbench
