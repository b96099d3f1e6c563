#pragma once

#include <algorithm>
#include <cstdint>

#include "core/device.h"
#include "harness/evaluate.h"
#include "harness/plan.h"
#include "models/config.h"

namespace evictbench {

// The most memory that a run's tensors take at a time, in bytes.
struct MemoryForecast {
  std::int64_t weights = 0;
  std::int64_t snapshot = 0;  // keys, values and window queries of the longest prompt, for each in flight
  std::int64_t prefill = 0;   // activations while it is made, beside what the others in flight have then
  std::int64_t tables = 0;    // statistics that policies look at
  std::int64_t kept = 0;      // caches of the points that decode together, new tokens included
  std::int64_t step = 0;      // activations while they do
  std::int64_t fidelity = 0;  // the full cache's logits and attention along the continuation, if asked for
  int in_flight = 1;          // examples

  std::int64_t peak() const {
    return weights + snapshot + std::max(prefill, tables + kept + step + fidelity);
  }
};

// Known before a weight is read. `weights`: of the packed checkpoint (Checkpoint::packed_bytes); `working` and
// `prefill_rows`: as the device has them; `batch_bytes`: as in DecodeLimits.
MemoryForecast forecast_memory(const Plan& plan, const DecoderConfig& config, std::int64_t weights,
                               DType working = DType::kF32, int prefill_rows = Device::kPrefillRows,
                               std::size_t batch_bytes = DecodeLimits{}.batch_bytes);

}  // namespace evictbench
