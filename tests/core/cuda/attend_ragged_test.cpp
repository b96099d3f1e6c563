// Attention of few rows in two bytes, over lanes in pieces, against double precision.
#include "tests/support/cuda.h"
#include "tests/support/half_attention.h"

namespace evictbench {
namespace {

class AttendRaggedTest : public CudaTest {};

constexpr DType kB = DType::kBF16, kF = DType::kF16;

struct Case {
  DType dtype;
  int dim, heads, rows, base, tail;
  AttentionForm form = {};
  unsigned one_in = 0;  // about so many of the base are present; 0: all
  float deviation = 1;  // of queries, and so of logits
};

// A base of some positions with gaps and a tail right behind them; the last row stands at the tail's end.
void check(const Case& c) {
  SCOPED_TRACE(testing::Message() << name_of(c.dtype) << " D " << c.dim << " heads " << c.heads << " rows "
                                  << c.rows << " base " << c.base << " tail " << c.tail << " window "
                                  << c.form.window << " cap " << c.form.softcap << " one in " << c.one_in);
  CudaDevice device(c.dtype);
  std::mt19937 rng(1);
  const int H = c.heads + 1, N = c.rows + 1, first = 2 * c.base;  // position of the tail's first entry
  HalfLanes lanes{{device, c.dtype, c.dim, some_of(first, c.base, rng), rng},
                  {device, c.dtype, c.dim, ascending(first, c.tail), rng}};
  if (c.one_in > 0) lanes.base.thin_out(c.one_in, rng);
  const auto queries = random_halves(c.dtype, std::size_t(N * H * c.dim), rng, c.deviation);
  const AttendTask task{lanes.view(), 1, c.rows, 1, c.heads, first + c.tail - c.rows, c.form};
  const HalfOutput got = run_half(device, cuda::attend_ragged, {{task}}, queries, {N, H, c.dim}, c.dtype);
  expect_close(got, lanes, task, queries, H, c.dim, c.dtype);
  for (std::size_t i = 0; i < std::size_t(H * c.dim); ++i) EXPECT_EQ(got.out[i], 0);  // row 0 is not its own
}

TEST_F(AttendRaggedTest, EveryOrderOfThreads) {
  in_every_order([] {
    check({kB, 128, 4, 1, 200, 5});
    check({kF, 80, 2, 9, 150, 140});
    check({kB, 256, 1, 2, 100, 2, {.window = 40}, 2});
  });
}

TEST_F(AttendRaggedTest, EveryHeadDim) {
  for (const int dim : {16, 48, 64, 80, 96, 112, 128, 144, 192, 256})
    check({dim % 32 == 0 ? kB : kF, dim, 2, 3, 83, 4});
}

TEST_F(AttendRaggedTest, EveryLength) {
  for (const int base : {0, 1, 15, 16, 17, 31, 33, 127, 128, 129, 256, 300}) check({kB, 64, 2, 1, base, 1});
  for (const int tail : {3, 64, 128, 131}) check({kF, 64, 2, 3, 20, tail});
  check({kB, 16, 1, 1, 1500, 40});  // more pieces than the threads that put them together make groups
}

TEST_F(AttendRaggedTest, EverySizeOfAGroup) {
  for (int heads = 1; heads <= 8; ++heads) check({kB, 64, heads, 5, 70, 9});
}

TEST_F(AttendRaggedTest, WindowsCapsMasks) {
  for (const int window : {1, 2, 30, 200, 100000}) check({kB, 64, 2, 3, 200, 10, {.window = window}});
  check({kB, 64, 2, 2, 200, 10, {.softcap = 2}});
  check({kF, 256, 2, 2, 90, 10, {.window = 60, .softcap = 20}});
  for (const unsigned one_in : {1, 2, 9, 1000}) check({kB, 64, 2, 2, 410, 3, {}, one_in});
}

TEST_F(AttendRaggedTest, SteepLogits) {
  check({kB, 64, 2, 2, 700, 3, {}, 0, 16});
  check({kF, 256, 1, 2, 300, 3, {}, 0, 16});
}

// A row sees its own key alone.
TEST_F(AttendRaggedTest, OneKey) {
  CudaDevice device(kB);
  std::mt19937 rng(4);
  const HalfLanes lanes{{device, kB, 64, {}, rng}, {device, kB, 64, {7}, rng}};
  const auto queries = random_halves(kB, 2 * 64, rng);
  const AttendTask task{lanes.view(), 0, 1, 0, 2, 7, {}};
  const auto got = run_half(device, cuda::attend_ragged, {{task}}, queries, {1, 2, 64}, kB);
  for (int i = 0; i < 2 * 64; ++i)
    EXPECT_EQ(half_to_float(kB, got.out[std::size_t(i)]), static_cast<float>(lanes.tail.value(0, i % 64)));
}

// Many lanes in one call: each gives the bits that it gives alone, and in any order.
TEST_F(AttendRaggedTest, TasksStandAlone) {
  CudaDevice device(kB);
  std::mt19937 rng(5);
  constexpr int kPoints = 5, H = 4, D = 64;
  std::vector<HalfLanes> lanes;
  std::vector<AttendTask> tasks;
  for (int point = 0; point < kPoints; ++point)
    for (int lane = 0; lane < 2; ++lane) {
      lanes.push_back({{device, kB, D, some_of(400, 37 * point + 90 * lane, rng), rng},
                       {device, kB, D, ascending(400, 1 + point), rng}});
      if (point == 3) lanes.back().base.thin_out(3, rng);
    }
  for (int point = 0; point < kPoints; ++point)
    for (int lane = 0; lane < 2; ++lane)
      tasks.push_back({lanes[std::size_t(2 * point + lane)].view(), point, 1, 2 * lane, 2, 400 + point,
                       point == 4 ? AttentionForm{.window = 90} : AttentionForm{}});
  const auto queries = random_halves(kB, std::size_t(kPoints * H * D), rng);
  const auto run = [&](std::span<const AttendTask> some) {
    return run_half(device, cuda::attend_ragged, some, queries, {kPoints, H, D}, kB);
  };
  const HalfOutput together = run(tasks);
  for (std::size_t i = 0; i < tasks.size(); ++i)
    expect_close(together, lanes[i], tasks[i], queries, H, D, kB);
  std::vector<AttendTask> shuffled = tasks;
  std::ranges::shuffle(shuffled, rng);
  const HalfOutput reordered = run(shuffled);
  EXPECT_EQ(reordered.out, together.out);
  EXPECT_EQ(reordered.log_sums, together.log_sums);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const HalfOutput alone = run({&tasks[i], 1});
    for (int head = tasks[i].first_head; head < tasks[i].first_head + 2; ++head) {
      const auto row = std::size_t(tasks[i].first_row * H + head);
      EXPECT_EQ(alone.log_sums[row], together.log_sums[row]);
      for (std::size_t d = row * D; d < (row + 1) * D; ++d) EXPECT_EQ(alone.out[d], together.out[d]);
    }
  }
}

// Tokens that come together give the bits that they give one by one.
TEST_F(AttendRaggedTest, RowsStandAlone) {
  CudaDevice device(kF);
  std::mt19937 rng(6);
  constexpr int kRows = 13, H = 3, D = 64;
  HalfLanes lanes{{device, kF, D, some_of(500, 333, rng), rng},
                  {device, kF, D, ascending(500, 120 + kRows), rng}};
  lanes.base.thin_out(2, rng);
  const auto queries = random_halves(kF, std::size_t(kRows * H * D), rng);
  for (const AttentionForm form : {AttentionForm{}, {.window = 127}}) {
    std::vector<AttendTask> one_by_one;
    for (int row = 0; row < kRows; ++row) one_by_one.push_back({lanes.view(), row, 1, 0, H, 620 + row, form});
    const AttendTask all{lanes.view(), 0, kRows, 0, H, 620, form};
    const auto run = [&](std::span<const AttendTask> tasks) {
      return run_half(device, cuda::attend_ragged, tasks, queries, {kRows, H, D}, kF);
    };
    const HalfOutput got = run({&all, 1}), want = run(one_by_one);
    EXPECT_EQ(got.out, want.out);
    EXPECT_EQ(got.log_sums, want.log_sums);
    expect_close(got, lanes, all, queries, H, D, kF);
  }
}

// Few and many rows in one call; tasks that are not for these kernels.
TEST_F(AttendRaggedTest, HalfTakesBoth) {
  CudaDevice device(kB);
  std::mt19937 rng(7);
  constexpr int H = 2, D = 64, N = 40;
  const HalfLanes many{{device, kB, D, ascending(0, 50), rng}, {device, kB, D, {}, rng}},
      few{{device, kB, D, ascending(0, 30), rng}, {device, kB, D, ascending(30, 1), rng}};
  const auto queries = random_halves(kB, std::size_t(N * H * D), rng);
  const AttendTask tasks[] = {{few.view(), 39, 1, 0, H, 30, {}},
                              {many.view(), 0, 39, 0, H, 11, {}},
                              {many.view(), 0, 0, 0, H, 0, {}}};
  const auto got = run_half(device, cuda::attend_half, tasks, queries, {N, H, D}, kB);
  expect_close(got, few, tasks[0], queries, H, D, kB);
  expect_close(got, many, tasks[1], queries, H, D, kB);

  float probabilities = 0;
  AttendTask biased = tasks[0], wanting = tasks[0];
  biased.lane.base.bias = &probabilities;
  wanting.probabilities = &probabilities;
  EXPECT_TRUE(cuda::attends_half(tasks[0], D));
  EXPECT_FALSE(cuda::attends_half(tasks[0], 72));
  EXPECT_FALSE(cuda::attends_half(tasks[0], 272));
  EXPECT_FALSE(cuda::attends_half(biased, D));
  EXPECT_FALSE(cuda::attends_half(wanting, D));
}

}  // namespace
}  // namespace evictbench
