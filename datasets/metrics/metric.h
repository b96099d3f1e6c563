#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

// Named scores of an answer, all in [0, 1]. A name stands for one definition for good: where the field's programs differ,
// each has a name of its own, and `source` says whose it is.
namespace evictbench {

class Segmenter;

struct MetricInput {
  std::string_view answer;
  std::span<const std::string> references;  // the best one counts, unless the metric says otherwise
  std::span<const std::string> classes{};   // what an answer may name, where there is a list
  std::string_view question{};
  const Segmenter* segmenter = nullptr;  // of Chinese text; never null for a metric that is `chinese`
};

struct Metric {
  std::string name;
  std::string description;  // one line
  std::string source;       // program and version that defines it; empty: evictbench
  double (*score)(const MetricInput&);
  bool chinese = false;   // needs a segmenter
  bool labelled = false;  // needs classes
};

const std::vector<Metric>& all_metrics();           // sorted by name
const Metric& metric_named(std::string_view name);  // one that is not there is a bug of ours

}  // namespace evictbench
