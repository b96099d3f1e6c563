#pragma once

#include "core/ops.h"

// The score and rank operations of core/ops.h on the host.
namespace evictbench::cpu {

Tensor negate(Device&, const Tensor& scores);
Tensor reduce_heads(Device&, const Tensor& scores, int kv_heads, HeadReduce, Grouping);
Tensor pool(Device&, const Scores&, Pool, int kernel, int window);
Tensor rank(Device&, const Scores&, Protect);
std::vector<std::int32_t> contest(Device&, const Scores&, const Ranking&, std::span<const std::int64_t> take);
std::vector<std::int32_t> prefix(Device&, const Tensor& order, std::span<const std::int32_t> shares);

}  // namespace evictbench::cpu
