#pragma once

#include <memory>

#include "core/device.h"

namespace evictbench {

// A CUDA card whose activations and caches are held in `working`: f32, bf16 or f16. An Error (exit 2) where this build
// or this machine has none.
std::unique_ptr<Device> open_cuda(DType working, int ordinal = 0);

constexpr int kCudaPrefillRows = 8192;  // Device::prefill_rows() of a card

int cuda_cards();  // of this machine, as far as this build can use them

}  // namespace evictbench
