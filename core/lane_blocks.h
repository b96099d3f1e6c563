#pragma once

#include <cstdint>
#include <vector>

#include "core/lane.h"

namespace evictbench {

// Where each block of 128 positions in which attention meets a lane (core/numerics.h) ends, counted over base and tail. A
// block has at most 128 entries, also where blends share a position.
std::vector<std::int32_t> block_ends(const LaneView& lane);

}  // namespace evictbench
