#pragma once

#include <span>

#include "core/ops.h"

// Attention of modes bf16 and f16: products on tensor cores, weights and sums in f32. What a task gives depends on that
// task alone. queries and out [N, H, D], log_sums [N, H] (natural logarithm), as core/ops.h says.
namespace evictbench::cuda {

// Does attend_half take this task? It takes neither a bias nor a wish for probabilities, and head dims in multiples of
// 16 up to 256.
bool attends_half(const AttendTask&, int dim);
void attend_half(Device&, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                 Tensor& log_sums);

// Its two ways: tiles of many rows, each of which walks over its lane; few rows, and the lane split over many blocks.
// Either takes any task that attend_half takes.
void attend_prefill(Device&, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                    Tensor& log_sums);
void attend_ragged(Device&, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                   Tensor& log_sums);

}  // namespace evictbench::cuda
