#include "core/lane_blocks.h"

#include <gtest/gtest.h>

#include <numeric>

namespace evictbench {
namespace {

using Positions = std::vector<std::int32_t>;

Positions dense(int first, int count) {
  Positions positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

Positions ends(const Positions& base, const Positions& tail) {
  LaneView lane;
  lane.base.positions = base.data();
  lane.base.entries = static_cast<int>(base.size());
  lane.tail.positions = tail.data();
  lane.tail.entries = static_cast<int>(tail.size());
  return block_ends(lane);
}

TEST(LaneBlocks, EndWherePositionsReachAMultipleOf128) {
  EXPECT_EQ(ends({}, {}), Positions{});
  EXPECT_EQ(ends(dense(0, 128), {}), Positions{128});
  EXPECT_EQ(ends(dense(0, 300), {}), (Positions{128, 256, 300}));
  EXPECT_EQ(ends({5, 127, 128, 700}, {}), (Positions{2, 3, 4}));
  EXPECT_EQ(ends({}, dense(100, 30)), (Positions{28, 30}));
}

TEST(LaneBlocks, GoOnFromABaseIntoATail) {
  EXPECT_EQ(ends({3, 120}, {121, 122, 128}), (Positions{4, 5}));
  EXPECT_EQ(ends({3, 120}, {128, 129}), (Positions{2, 4}));
  EXPECT_EQ(ends({3, 200}, {201}), (Positions{1, 3}));
}

TEST(LaneBlocks, HoldAtMost128EntriesThatShareAPosition) {
  EXPECT_EQ(ends(Positions(300, 7), {}), (Positions{128, 256, 300}));
  Positions full(100, 7);
  EXPECT_EQ(ends(full, Positions(50, 8)), (Positions{128, 150}));
  full.resize(128, 9);
  EXPECT_EQ(ends(full, {10}), (Positions{128, 129}));
}

}  // namespace
}  // namespace evictbench
