// Points of several snapshots in one cache: each is what it would be in a cache of its own, whoever comes and goes.
#include "core/ragged_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/device_errors.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

constexpr KvShape kShape{.layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .tokens = 0};
constexpr int kRoom = 5;

// A prefill of T tokens, with column sums, so that rules may add up attention.
std::shared_ptr<const Snapshot> snapshot_of(int T, unsigned seed) {
  KvShape shape = kShape;
  shape.tokens = T;
  return std::make_shared<const Snapshot>(random_parts(shape, {{Stat{Stat::kColumnSums}}, {}}, seed),
                                          std::vector<float>{});
}

// Every `step`th token of each lane.
Kept every(const Snapshot& snapshot, int step) {
  const KvShape& s = snapshot.shape();
  std::vector<std::int32_t> slots;
  for (int t = 0; t < s.tokens; t += step) slots.push_back(t);
  Kept kept{Selection(s.layers, s.kv_heads), {}, {}};
  for (int lane = 0; lane < s.lanes(); ++lane) kept.selection.push_lane(slots);
  return kept;
}

// New tokens whose keys and values follow from `seed`.
void feed(RaggedCache& cache, int point, int tokens, unsigned seed) {
  std::mt19937 rng(seed);
  const Tensor k = random_tensor({tokens, kShape.kv_heads, kShape.head_dim}, rng),
               v = random_tensor({tokens, kShape.kv_heads, kShape.head_dim}, rng);
  const StoreTask store{&cache.tail(point), 0, tokens, cache.reserve(point, tokens)};
  for (int layer = 0; layer < kShape.layers; ++layer)
    host().ops().store(host(), k, v, layer, std::span(&store, 1));
}

// What queries of `seed` see in every lane of a point.
std::vector<float> look(const RaggedCache& cache, int point, unsigned seed) {
  std::mt19937 rng(seed);
  const int G = kShape.kv_heads, group = kShape.group();
  const Tensor q = random_tensor({1, kShape.q_heads, kShape.head_dim}, rng);
  Tensor mixed(host(), DType::kF32, {1, kShape.q_heads, kShape.head_dim}),
      log_sums(host(), DType::kF32, {1, kShape.q_heads});
  std::vector<float> all;
  for (int layer = 0; layer < kShape.layers; ++layer) {
    std::vector<AttendTask> tasks;
    for (int g = 0; g < G; ++g)
      tasks.push_back({cache.view(point, layer, g), 0, 1, g * group, group, 1 << 20});
    host().ops().attend(host(), tasks, q, mixed, log_sums);
    const auto seen = mixed.to_host<float>();
    all.insert(all.end(), seen.begin(), seen.end());
  }
  return all;
}

std::vector<float> mass_of(const RaggedCache& cache, int point) {
  return Observation(cache.observe(point)).table(Stat{Stat::kColumnSums}).to_host<float>();
}

void expect_same(const RaggedCache& cache, int point, const RaggedCache& alone, const char* when) {
  EXPECT_EQ(look(cache, point, 9), look(alone, 0, 9)) << when;
  EXPECT_EQ(cache.next_position(point), alone.next_position(0)) << when;
  EXPECT_EQ(cache.retained_bytes(point), alone.retained_bytes(0)) << when;
  EXPECT_EQ(cache.allocated_bytes(point), alone.allocated_bytes(0)) << when;
  EXPECT_EQ(cache.shape(point), alone.shape(0)) << when;
  EXPECT_EQ(mass_of(cache, point), mass_of(alone, 0)) << when;
}

class RaggedCacheOfMany : public testing::TestWithParam<RaggedCache::Layout> {
 protected:
  RaggedCacheOfMany() {
    for (const int T : {70, 200, 33}) snapshots_.push_back(snapshot_of(T, static_cast<unsigned>(T)));
  }
  RaggedCache alone(std::size_t snapshot, const Kept& kept) const {
    const auto& from = snapshots_[snapshot];
    return {from, std::span(&kept, 1), from->shape().tokens, kRoom, GetParam()};
  }
  void add(RaggedCache& cache, std::size_t snapshot, const Kept& kept) const {
    const auto& from = snapshots_[snapshot];
    cache.add(from, std::span(&kept, 1), from->shape().tokens, kRoom, GetParam());
  }
  std::vector<std::shared_ptr<const Snapshot>> snapshots_;
};

TEST_P(RaggedCacheOfMany, PointsJoinAndLeaveAndNobodyCanTell) {
  const Kept a = every(*snapshots_[0], 2), b = every(*snapshots_[1], 3), c = every(*snapshots_[2], 1);
  RaggedCache cache, alone_a = alone(0, a), alone_b = alone(1, b), alone_c = alone(2, c);
  EXPECT_EQ(cache.points(), 0);
  add(cache, 0, a);
  feed(cache, 0, 2, 1), feed(alone_a, 0, 2, 1);
  add(cache, 1, b);
  feed(cache, 0, 1, 2), feed(alone_a, 0, 1, 2);
  feed(cache, 1, 3, 3), feed(alone_b, 0, 3, 3);
  add(cache, 2, c);
  ASSERT_EQ(cache.points(), 3);
  expect_same(cache, 0, alone_a, "three there");
  expect_same(cache, 1, alone_b, "three there");
  expect_same(cache, 2, alone_c, "three there");

  cache.drop(0);
  ASSERT_EQ(cache.points(), 2);
  expect_same(cache, 0, alone_b, "the first has left");
  const std::vector<float> row(60, 0.25f);
  cache.accumulate({0, 1, 2, 0, row}), alone_b.accumulate({0, 1, 2, 0, row});
  const Kept fewer = every(*std::make_shared<Snapshot>(cache.observe(0), std::vector<float>{}), 2);
  cache.replace(0, fewer), alone_b.replace(0, fewer);
  feed(cache, 1, 5, 4), feed(alone_c, 0, 5, 4);
  feed(cache, 0, 5, 5), feed(alone_b, 0, 5, 5);
  expect_same(cache, 0, alone_b, "a rule has replaced it");
  expect_same(cache, 1, alone_c, "beside one that was replaced");
  EXPECT_THROW(cache.reserve(1, 1), Error) << "its room is used up";

  cache.drop(1);
  add(cache, 0, a);
  expect_same(cache, 0, alone_b, "the last has left");
  expect_same(cache, 1, alone(0, a), "one begins anew");
  EXPECT_THROW(cache.drop(2), Error);
  EXPECT_THROW(cache.drop(-1), Error);
}

TEST_P(RaggedCacheOfMany, WhoLeavesFreesWhatItHeld) {
  const Kept a = every(*snapshots_[0], 2), b = every(*snapshots_[1], 3);
  RaggedCache cache;
  add(cache, 1, b);
  const std::size_t before = host().bytes_in_use();
  add(cache, 0, a);
  EXPECT_GT(host().bytes_in_use(), before);
  cache.drop(1);
  EXPECT_EQ(host().bytes_in_use(), before);

  const std::weak_ptr<const Snapshot> gone = snapshots_[1];
  snapshots_.clear();
  EXPECT_FALSE(gone.expired()) << "a point holds what it came from";
  cache.drop(0);
  EXPECT_TRUE(gone.expired());
}
INSTANTIATE_TEST_SUITE_P(Layouts, RaggedCacheOfMany,
                         testing::Values(RaggedCache::Layout::kList, RaggedCache::Layout::kMask,
                                         RaggedCache::Layout::kEither));

TEST(RaggedCache, SnapshotsOfDifferentModelsAreRefused) {
  const auto one = snapshot_of(40, 1);
  KvShape other = kShape;
  other.tokens = 40;
  other.layers = 3;
  const auto two = std::make_shared<const Snapshot>(random_parts(other, {}, 2), std::vector<float>{});
  RaggedCache cache(one, std::vector{every(*one, 2)}, 40, kRoom);
  EXPECT_THROW(cache.add(two, std::vector{every(*two, 2)}, 40, kRoom), Error);
  EXPECT_EQ(cache.points(), 1);
}

// Memory for so many bytes and no more.
class Small : public CpuDevice {
 public:
  Small() : CpuDevice(1) {}
  void* allocate(std::size_t bytes) override {
    if (bytes_in_use() + bytes > most) throw OutOfMemory("no memory");
    return CpuDevice::allocate(bytes);
  }
  std::size_t most = std::size_t{1} << 40;
};

TEST(RaggedCache, PointsThatFindNoMemoryLeaveTheOthersAsTheyWere) {
  Small device;
  Observation::Parts parts;
  parts.shape = kShape;
  parts.shape.tokens = 64;
  parts.cache = DenseKv(device, kShape.layers, kShape.kv_heads, 64, kShape.head_dim);
  for (Tensor* rows : {&parts.cache.keys, &parts.cache.values})
    std::fill_n(rows->data<float>(), rows->size(), 0.5f);
  parts.positions.emplace_back(64);
  std::iota(parts.positions[0].begin(), parts.positions[0].end(), 0);
  const auto snapshot = std::make_shared<const Snapshot>(std::move(parts), std::vector<float>{});
  const std::vector<Kept> kept(3, every(*snapshot, 4));
  RaggedCache cache(snapshot, std::span(kept).first(1), 64, kRoom);
  const std::size_t before = device.bytes_in_use();
  device.most = before + 2 * cache.allocated_bytes(0);
  EXPECT_THROW(cache.add(snapshot, kept, 64, kRoom), OutOfMemory);
  EXPECT_EQ(cache.points(), 1);
  EXPECT_EQ(device.bytes_in_use(), before);
  cache.add(snapshot, std::span(kept).first(1), 64, kRoom);
  EXPECT_EQ(cache.points(), 2);
}

}  // namespace
}  // namespace evictbench
