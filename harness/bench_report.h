#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/bench.h"

namespace evictbench {

// What was benched, where, and what came of it.
struct BenchReport {
  std::string model, source;  // its path; "checkpoint", or "random": weights that were drawn
  DecoderConfig config;
  std::uint64_t parameters = 0, packed_bytes = 0;
  double load = 0;  // seconds
  std::string device, compute;
  int threads = 0;                                 // as asked for: 0 is all cores
  std::optional<double> matrix_flops, copy_bytes;  // a second, at most; where the device knows
  BenchInput input;
  std::vector<std::pair<std::string, std::string>> left_out;  // policies, and why
  std::vector<BenchPrompt> prompts;

  bool failed() const;
};

std::string bench_head(const BenchReport& report);  // of the table, before anything is measured
std::string bench_table(const BenchReport& report, const BenchPrompt& prompt);
std::string bench_json(const BenchReport& report);  // one object, on one line; README has its shape

}  // namespace evictbench
