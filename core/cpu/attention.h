#pragma once

#include "core/ops.h"

// The cache and attention operations of core/ops.h on the host.
namespace evictbench::cpu {

void store(Device&, const Tensor& k, const Tensor& v, int layer, std::span<const StoreTask>);
void attend(Device&, std::span<const AttendTask>, const Tensor& queries, Tensor& out, Tensor& log_sums);
void add_column_sums(Device&, const DenseKv&, int layer, AttentionForm, const Tensor& queries,
                     const Tensor& log_sums, int first_position, Tensor& sums);
void keep_window(Device&, const Tensor& queries, const Tensor& log_sums, int layer, int first, int tokens,
                 Tensor& window_queries, Tensor& window_log_sums);
void gather(Device&, DType, int dim, std::span<const GatherTask>);
void combine(Device&, DType, const void* keys, const void* values, const Recipe&, Tensor& key_rows,
             Tensor& value_rows);
void put_rows(Device&, const Tensor& key_rows, const Tensor& value_rows, DType, void* keys, void* values);
std::vector<Tensor> window_attention(Device&, const Tensor& queries, const Tensor& log_sums, const DenseKv&,
                                     std::span<const AttentionForm> forms, int tokens, int window,
                                     std::span<const Reduction>);

}  // namespace evictbench::cpu
