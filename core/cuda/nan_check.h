#pragma once

#include "core/cuda/launch.h"
#include "core/scores.h"

namespace evictbench::cuda {

// Where kernels note the first slot, in order of rows, whose score is NaN.
struct FirstNan {
  unsigned long long* place;  // the complement of row and slot, so that the greatest is the first; 0: none

  __device__ void check(float score, std::ptrdiff_t row, int slot) const {
    if (score != score)
      atomicMax(place, ~(static_cast<unsigned long long>(row) << 32 | static_cast<unsigned>(slot)));
  }
};

class NanCheck {
 public:
  NanCheck(Device& device, int heads)  // rows to a layer
      : heads_(heads), place_(Tensor::zeros(device, DType::kI32, {2})) {}
  FirstNan first() { return {static_cast<unsigned long long*>(place_.at(0))}; }

  // Waits for the kernels; an Error (exit 4) if one of them met a NaN.
  void reject() const {
    unsigned long long found = 0;
    place_.device().download(&found, place_.at(0), sizeof found);
    if (found == 0) return;
    const auto row = static_cast<int>(~found >> 32), slot = static_cast<int>(~found & 0xffffffffu);
    reject_nan_score(row / heads_, row % heads_, slot);
  }

 private:
  int heads_;
  Tensor place_;
};

}  // namespace evictbench::cuda
