// Any answer and any reference, under every metric: what is scored is from 0 to 1.
#include "datasets/metrics/metric.h"

#include "datasets/segmenter.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const auto segmenter =
      Segmenter::from_folder(EVICTBENCH_SOURCE_DIR "/tests/datasets/vectors/segmenter");
  const std::string answer(take_until(input, '\0')), question(take_until(input, '\0'));
  const std::vector<std::string> references{std::string(take_until(input, '\0')), std::string(input)};
  for (const Metric& metric : all_metrics()) {
    const double score = metric.score({answer, references, references, question, segmenter.get()});
    must(score >= 0 && score <= 1, "metrics: a score outside");
  }
  std::string again;
  for (const std::string_view word : segmenter->cut(answer)) again += word;
  must(again == answer, "metrics: words are lost");
}

}  // namespace evictbench
