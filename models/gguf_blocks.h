#pragma once

#include <cstddef>
#include <span>

#include "models/gguf.h"

namespace evictbench {

// Blocks of any type that we compute with, F32 and halves too, to f32: in the operations and the order of the `gguf`
// Python package, so to the same bits, NaN apart. Formats: ggml-common.h of ggml.
bool can_dequantise(const GgufType& type);

// Any number of whole blocks; `to` has exactly as many floats as they have elements.
void dequantise(const GgufType& type, std::span<const std::byte> blocks, std::span<float> to);

}  // namespace evictbench
