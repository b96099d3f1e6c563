#pragma once

#include <cstdint>

#include "core/scores.h"

namespace evictbench::cuda {

// Sorts each segment of `keys`, [begins[i], ends[i]), ascending, by the low `bits` bits; all pointers are the device's.
// `spare` holds as many as `keys`, `count`. -> where the sorted segments lie: in one of the two.
const std::uint64_t* sort_segments(Device&, std::uint64_t* keys, std::uint64_t* spare, int count,
                                   const std::int32_t* begins, const std::int32_t* ends, int segments,
                                   int bits);

// rank() of core/cuda/ops.h, with room for so many keys at a time, or for one row.
Tensor rank_in_pieces(Device&, const Scores&, Protect, std::ptrdiff_t most_keys);

}  // namespace evictbench::cuda
