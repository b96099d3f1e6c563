// Files of head scores, head orders and layer scores, each read as all of them.
#include <cmath>
#include <numeric>

#include "policies/calibration.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {
namespace {

bool sums_to_one(const std::vector<double>& scores) {
  return std::abs(std::accumulate(scores.begin(), scores.end(), 0.0) - 1) < 1e-5;
}

void as_heads(const Options::File& file) {
  const HeadScores scores = read_head_scores(file);
  must(std::ssize(scores.means) == std::ptrdiff_t{scores.layers} * scores.heads, "head scores: a gap");
}

void as_order(const Options::File& file) {
  const HeadOrder order = read_head_order(file);
  must(std::ssize(order.order) == std::ptrdiff_t{order.layers} * order.heads, "head order: a gap");
}

void as_layers(const Options::File& file) {
  must(sums_to_one(read_layer_scores(file).scores), "layer scores: a sum that is not 1");
}

void as_datasets(const Options::File& file) {
  const DatasetScores datasets = read_dataset_scores(file);
  for (const auto& [name, scores] : datasets)
    must(sums_to_one(scores), "dataset scores: a sum that is not 1");
  must(sums_to_one(average_of(datasets)), "their average: a sum that is not 1");
}

}  // namespace

void fuzz_one(std::string_view input) {
  const Options::File file{"scores.json", std::string(input)};
  for (const auto reader : {as_heads, as_order, as_layers}) passes([&] { reader(file); });
  as_datasets(file);
}

}  // namespace evictbench
