#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/evaluate.h"
#include "models/config.h"

// What every point costs alone, and what all of them cost together. What is timed is evaluate(), which is what `run` calls.
namespace evictbench {

struct BenchInput {
  std::vector<Point> points;  // each once; the full cache is measured in any case
  int together = 0;           // points of the batch: `points` in turn
  int max_new = 32;
  int repeat = 3;
  std::uint64_t seed = 42;  // of the prompts
  std::size_t batch_bytes = DecodeLimits{}.batch_bytes;
  DType working = DType::kF32;  // as the device has them
  int prefill_rows = Device::kPrefillRows;

  std::vector<std::size_t> batch() const;  // [together] of `points`
};

// Of the repeats of one measurement.
struct Spread {
  double median = 0, least = 0, most = 0;
};
Spread spread_of(std::vector<double> values);

// Some points through evaluate(). Seconds; `step`: until every point has one more token.
struct BenchRun {
  Spread prefill;         // with what the policies have collected
  Spread select, gather;  // score, rank and choose; compact
  Spread step, total;
  int batches = 0;  // in which the points decode
  std::int64_t kept = 0, retained_bytes = 0;
  Timing::Peaks peaks;
  std::string error;  // of the first point that failed

  double work() const { return select.median + gather.median; }
};

struct BenchPrompt {
  int tokens = 0;
  BenchRun full;
  std::vector<BenchRun> alone;  // [points]; of one that does not evict, that of the full cache
  BenchRun together;

  bool failed() const;
  double one_step(const BenchInput& input) const;  // mean over the batch of each point's step alone
  double separate(const BenchInput& input) const;  // what its points take in a run of their own each
};

// `tokens` random ids. `step` is called after every run; `checkpoint` as in PassOptions.
BenchPrompt bench_prompt(Device& device, const Model& model, const BenchInput& input, int tokens,
                         const std::function<void()>& step, const std::function<void()>& checkpoint);
// A prompt of at most `tokens`, not measured: what is done once is done.
void warm_up(Device& device, const Model& model, const BenchInput& input, int tokens);

// Multiply-adds, times two, of a prefill for the full cache: the layers' matrices, attention to what each token sees, the
// head of the last; of the last layer queries, keys and values of all tokens, all else of the last token alone.
double prefill_flops(const DecoderConfig& config, int tokens);

// The forecast of the greatest run, and what can be had, held against each other before anything is allocated. Errors:
// exit 4 where the weights alone are too large, exit 2 where prompts and points are.
void check_bench_memory(const BenchInput& input, const std::string& model, const DecoderConfig& config,
                        std::int64_t weights, int tokens, std::int64_t free);

}  // namespace evictbench
