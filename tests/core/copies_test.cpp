// What only moves numbers, against plain loops: rows of tables, windows of queries, entries of lanes.
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

#include "core/ops.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

const Ops& ops() { return host().ops(); }

TEST(TakeRows, GivesThemInTheOrderAskedFor) {
  std::mt19937 rng(1);
  const Tensor table = random_tensor({3, 5, 7}, rng);
  const std::vector<std::int32_t> rows{14, 0, 3, 3, 9};
  Tensor out(host(), DType::kF32, {5, 7});
  ops().take_rows(host(), table, rows, out);
  for (int i = 0; i < 5; ++i)
    for (int d = 0; d < 7; ++d)
      EXPECT_EQ(out.row<float>(i)[d], table.row<float>(rows[static_cast<std::size_t>(i)])[d]);
}

TEST(TakeRows, OfEveryType) {
  std::vector<std::uint16_t> stored(12);
  std::iota(stored.begin(), stored.end(), std::uint16_t{0x3c00});
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor table = Tensor::from_host<std::uint16_t>(host(), stored, {4, 3}, dtype);
    Tensor out(host(), dtype, {2, 3});
    ops().take_rows(host(), table, std::vector<std::int32_t>{3, 1}, out);
    EXPECT_EQ(out.to_host<std::uint16_t>(),
              (std::vector<std::uint16_t>{0x3c09, 0x3c0a, 0x3c0b, 0x3c03, 0x3c04, 0x3c05}));
    EXPECT_EQ(out.to_floats()[0], dtype == DType::kF16 ? f16_to_f32(0x3c09) : bf16_to_f32(0x3c09));
  }
}

TEST(TakeRows, RefusesAnotherShapeOrType) {
  std::mt19937 rng(1);
  const Tensor table = random_tensor({4, 3}, rng);
  Tensor narrow(host(), DType::kF32, {1, 2}), half(host(), DType::kF16, {1, 3}),
      long_one(host(), DType::kF32, {2, 3});
  for (Tensor* out : {&narrow, &half, &long_one})
    EXPECT_THROW(ops().take_rows(host(), table, std::vector<std::int32_t>{0}, *out), Error);
}

// A prompt of T tokens in pieces; the window is shorter than it, as long, or longer than a piece.
TEST(KeepWindow, HoldsTheLastRowsNewestFirst) {
  constexpr int kLayers = 2, kHeads = 3, kDim = 5, kTokens = 23, kLayer = 1;
  std::mt19937 rng(1);
  for (const int W : {1, 4, 11, 23})
    for (const int piece : {1, 6, 8, 23}) {
      Tensor window = Tensor::zeros(host(), DType::kF32, {kLayers, kHeads, W, kDim});
      Tensor window_sums = Tensor::zeros(host(), DType::kF32, {kLayers, kHeads, W});
      const Tensor queries = random_tensor({kTokens, kHeads, kDim}, rng),
                   sums = random_tensor({kTokens, kHeads}, rng);
      for (int first = 0; first < kTokens; first += piece) {
        const int n = std::min(piece, kTokens - first);
        std::vector<std::int32_t> some(static_cast<std::size_t>(n * kHeads));
        std::iota(some.begin(), some.end(), first * kHeads);
        Tensor q(host(), DType::kF32, {n, kHeads, kDim}), s(host(), DType::kF32, {n, kHeads});
        ops().take_rows(host(), queries, some, q);
        std::copy_n(sums.row<float>(first), n * kHeads, s.data<float>());
        ops().keep_window(host(), q, s, kLayer, first, kTokens, window, window_sums);
      }
      for (int h = 0; h < kHeads; ++h)
        for (int w = 0; w < W; ++w) {
          const int t = kTokens - 1 - w, row = kLayer * kHeads + h;
          EXPECT_EQ(window_sums.row<float>(row)[w], sums.row<float>(t)[h]);
          for (int d = 0; d < kDim; ++d)
            EXPECT_EQ(window.row<float>(row * W + w)[d], queries.row<float>(t * kHeads + h)[d]);
        }
      for (int i = 0; i < kHeads * W; ++i) EXPECT_EQ(window_sums.data<float>()[i], 0);  // the other layer
    }
}

TEST(Gather, PutsATailBehindABase) {
  const KvShape shape{1, 2, 2, 6, 70};
  std::mt19937 rng(1);
  const DenseKv base = random_kv(shape, rng), tail = random_kv({1, 2, 2, 6, 20}, rng);
  const std::vector<std::vector<std::int32_t>> of_base{{0, 5, 16, 17, 69}, {}},
      of_tail{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 19}, {1, 18}};
  DenseKv to(host(), 1, 2, 32, 6);
  std::vector<GatherTask> tasks;
  for (int lane = 0; lane < 2; ++lane)
    tasks.push_back(
        {{base.lane_keys(lane), base.lane_values(lane), of_base[static_cast<std::size_t>(lane)]},
         to.lane_keys(lane),
         to.lane_values(lane),
         {tail.lane_keys(lane), tail.lane_values(lane), of_tail[static_cast<std::size_t>(lane)]}});
  ops().gather(host(), DType::kF32, 6, tasks);
  for (int lane = 0; lane < 2; ++lane) {
    int e = 0;
    for (const auto& [from, slots] : {std::pair{&base, &of_base}, {&tail, &of_tail}})
      for (const std::int32_t slot : (*slots)[static_cast<std::size_t>(lane)]) {
        for (int d = 0; d < 6; ++d) {
          EXPECT_EQ(to.lane_keys<float>(lane)[key_index(e, 6, d)],
                    from->lane_keys<float>(lane)[key_index(slot, 6, d)]);
          EXPECT_EQ(to.lane_values<float>(lane)[e * 6 + d], from->lane_values<float>(lane)[slot * 6 + d]);
        }
        ++e;
      }
  }
}

TEST(Cpu, HoldsF32Alone) {
  DenseKv cache(host(), 1, 1, 16, 4, DType::kBF16);
  EXPECT_EQ(cache.dtype(), DType::kBF16);
  EXPECT_EQ(cache.bytes(), 2u * 16 * 4 * 2);
  Tensor keys = Tensor::zeros(host(), DType::kF32, {1, 4}),
         values = Tensor::zeros(host(), DType::kF32, {1, 4});
  Recipe recipe;
  recipe.push({{0}}, {{1.0f}});
  EXPECT_THROW(
      ops().combine(host(), cache.dtype(), cache.lane_keys(0), cache.lane_values(0), recipe, keys, values),
      Error);
  EXPECT_THROW(ops().put_rows(host(), keys, values, cache.dtype(), cache.lane_keys(0), cache.lane_values(0)),
               Error);
  EXPECT_THROW(ops().gather(host(), cache.dtype(), 4, {}), Error);
  EXPECT_THROW(ops().key_norms(host(), cache, 1), Error);
  Tensor out = Tensor::zeros(host(), DType::kF32, {1, 1, 4});
  const Tensor q = Tensor::zeros(host(), DType::kF32, {1, 1, 4});
  Tensor sums = Tensor::zeros(host(), DType::kF32, {1, 1});
  const std::int32_t position = 0;
  const AttendTask task{.lane = {.base = {.keys = cache.lane_keys(0),
                                          .values = cache.lane_values(0),
                                          .positions = &position,
                                          .entries = 1,
                                          .dtype = cache.dtype()},
                                 .tail = {}},
                        .first_row = 0,
                        .rows = 1,
                        .first_head = 0,
                        .heads = 1};
  EXPECT_THROW(ops().attend(host(), std::span(&task, 1), q, out, sums), Error);
}

}  // namespace
}  // namespace evictbench
