#include "core/lane_blocks.h"

#include <algorithm>

#include "core/numerics.h"

namespace evictbench {
namespace {

// Of a run whose first entry is entry `before` of the lane; its first block has `begun` entries already.
void end_blocks(const Run& run, int before, int begun, std::vector<std::int32_t>& ends) {
  for (int e = 0; e < run.entries; begun = 0) {
    const std::int32_t next = (run.positions[e] / numerics::kBlock + 1) * numerics::kBlock;
    const int most = std::min(run.entries, e + numerics::kBlock - begun);
    e = static_cast<int>(std::lower_bound(run.positions + e, run.positions + most, next) - run.positions);
    ends.push_back(before + e);
  }
}

}  // namespace

std::vector<std::int32_t> block_ends(const LaneView& lane) {
  const Run &base = lane.base, &tail = lane.tail;
  std::vector<std::int32_t> ends;
  end_blocks(base, 0, 0, ends);
  int begun = 0;  // entries of the base in the block that the tail goes on with
  if (tail.entries > 0 && base.entries > 0 &&
      tail.positions[0] / numerics::kBlock == base.positions[base.entries - 1] / numerics::kBlock) {
    ends.pop_back();
    begun = base.entries - (ends.empty() ? 0 : ends.back());
  }
  end_blocks(tail, base.entries, begun, ends);
  return ends;
}

}  // namespace evictbench
