#pragma once

#include <cstdint>

#include "core/device.h"

namespace evictbench::cuda {

// Sorts each segment of `keys`, [begins[i], ends[i]), ascending, by the low `bits` bits; all pointers are the device's.
// `spare` holds as many as `keys`, `count`. -> where the sorted segments lie: in one of the two.
const std::uint64_t* sort_segments(Device&, std::uint64_t* keys, std::uint64_t* spare, int count,
                                   const std::int32_t* begins, const std::int32_t* ends, int segments,
                                   int bits);

}  // namespace evictbench::cuda
