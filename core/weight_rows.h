#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "core/dtype.h"

namespace evictbench {

// Rows of a weight matrix as a checkpoint holds them, [rows, depth] on the host.
struct WeightRows {
  DType dtype = DType::kF32;  // f32, f16 or bf16
  int rows = 0;
  const void* data = nullptr;
  // Where there is no `data`: fills `to` with the rows from `first` on. Several threads call it at once.
  std::function<void(int first, std::span<std::byte> to)> read = nullptr;
};

// The narrowest type that holds the numbers of all parts exactly: the one they share, else f32.
DType exact_type(std::span<const WeightRows> parts);

// Rows [rows, depth] of `from` -> [rows, stride] of `to`, zeros behind each; rounded to nearest even where `to` is narrower.
void convert_rows(DType from, const void* stored, int rows, int depth, DType to, int stride, void* out);

}  // namespace evictbench
