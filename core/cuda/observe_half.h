#pragma once

#include "core/ops.h"

// What is observed of attention, from products on tensor cores: modes bf16 and f16.
namespace evictbench::cuda {

// How a window is reduced, and where that goes.
struct Reduced {
  static constexpr int kMost = 4;
  Reduction how[kMost];
  float* out[kMost];  // [L, H, T] each
  int count;
};

bool observes_half(DType dtype, int dim);  // what these take: head dims in multiples of 8 up to 256

// Of the newest `window` queries; as core/ops.h says. forms [L] on the device.
void reduce_window_half(Device&, const Tensor& queries, const Tensor& log_sums, const DenseKv&,
                        const AttentionForm* forms, int tokens, int window, const Reduced&);
void add_column_sums_half(Device&, const DenseKv&, int layer, AttentionForm, const Tensor& queries,
                          const Tensor& log_sums, int first_position, Tensor& sums);

}  // namespace evictbench::cuda
