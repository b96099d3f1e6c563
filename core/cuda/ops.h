#pragma once

#include "core/ops.h"

// The operations of core/ops.h on a card: what they take and give is said there.
namespace evictbench::cuda {

PackedMatrix pack(Device&, std::span<const WeightRows> parts, int depth);
std::vector<std::int32_t> best(Device&, const Tensor& logits);
void embed(Device&, const PackedMatrix& table, std::span<const std::int32_t> ids, Tensor& out);
void matmul(Device&, const Tensor& x, const PackedMatrix& w, Tensor& y);
void rms_norm(Device&, const Tensor& x, const Tensor& weight, float eps, Tensor& y);
void layer_norm(Device&, const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y);
void add(Device&, const Tensor& x, Tensor& sum);
void add_bias(Device&, const Tensor& bias, Tensor& rows);
void scale(Device&, float factor, Tensor& x);
void softcap(Device&, float cap, Tensor& x);
void take_rows(Device&, const Tensor& table, std::span<const std::int32_t> rows, Tensor& out);
void activate(Device&, Activation, const Tensor& gate_up, Tensor& y);
void norm_heads(Device&, const Tensor& weight, float eps, int first_head, int heads, Tensor& rows);
void split_rotate(Device&, const Tensor& qkv, const Tensor& cosines, const Tensor& sines, Tensor& q,
                  Tensor& k, Tensor& v);
void rotate(Device&, const Tensor& cosines, const Tensor& sines, Tensor& rows);
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
Tensor key_norms(Device&, const DenseKv&, int tokens);
Tensor value_norms(Device&, const DenseKv&, int tokens);
Tensor negate(Device&, const Tensor& scores);
Tensor reduce_heads(Device&, const Tensor& scores, int kv_heads, HeadReduce, Grouping);
Tensor pool(Device&, const Scores&, Pool, int kernel, int window);
Tensor rank(Device&, const Scores&, Protect);
std::vector<std::int32_t> contest(Device&, const Scores&, const Ranking&, std::span<const std::int64_t> take);
std::vector<std::int32_t> prefix(Device&, const Tensor& order, std::span<const std::int32_t> shares);

}  // namespace evictbench::cuda
