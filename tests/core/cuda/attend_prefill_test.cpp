// Attention of many rows in two bytes against double precision.
#include "core/cuda/emulated.h"
#include "tests/support/cuda.h"
#include "tests/support/half_attention.h"

namespace evictbench {
namespace {

class AttendPrefillTest : public CudaTest {};

struct Case {
  DType dtype;
  int dim, heads, rows, entries, position;  // position: of the first row, among entries 0, 1, 2, ...
  AttentionForm form = {};
  float deviation = 1;  // of queries, and so of logits
};

void check(const Case& c) {
  SCOPED_TRACE(testing::Message() << name_of(c.dtype) << " D " << c.dim << " heads " << c.heads << " rows "
                                  << c.rows << " entries " << c.entries << " at " << c.position << " window "
                                  << c.form.window << " cap " << c.form.softcap);
  CudaDevice device(c.dtype);
  std::mt19937 rng(1);
  const int H = c.heads + 1, N = c.rows + 1;  // of which one row and one head are not in the task
  const HalfLanes lanes{{device, c.dtype, c.dim, ascending(0, c.entries), rng},
                        {device, c.dtype, c.dim, {}, rng}};
  const auto queries = random_halves(c.dtype, std::size_t(N * H * c.dim), rng, c.deviation);
  const AttendTask task{lanes.view(), 1, c.rows, 1, c.heads, c.position, c.form};
  const HalfOutput got = run_half(device, cuda::attend_prefill, {{task}}, queries, {N, H, c.dim}, c.dtype);
  expect_close(got, lanes, task, queries, H, c.dim, c.dtype);
  for (std::size_t i = 0; i < std::size_t(H * c.dim); ++i) EXPECT_EQ(got.out[i], 0);  // row 0 is not its own
}

constexpr DType kB = DType::kBF16, kF = DType::kF16;

TEST_F(AttendPrefillTest, EveryOrderOfThreads) {
  in_every_order([] {
    check({kB, 64, 2, 66, 130, 64});
    check({kF, 80, 3, 30, 70, 40});
  });
}

TEST_F(AttendPrefillTest, EveryHeadDim) {
  for (const int dim : {16, 48, 64, 80, 96, 112, 128, 144, 192, 256})
    check({dim % 32 == 0 ? kB : kF, dim, 2, 21, 83, 62});
}

#ifdef EVICTBENCH_EMULATED
TEST_F(AttendPrefillTest, CardWithLessSharedMemory) {
  cuda::emulated::set_major(8);
  check({kB, 128, 2, 70, 200, 130});
  cuda::emulated::set_major(9);
}
#endif

TEST_F(AttendPrefillTest, FromTheFirstTokenOn) {
  check({kB, 64, 1, 150, 150, 0});  // the first row sees one key
  check({kF, 64, 4, 1, 1, 0});
}

TEST_F(AttendPrefillTest, EverySizeOfAGroup) {
  for (int heads = 1; heads <= 8; ++heads) check({kB, 64, heads, 17, 64, 47});
}

TEST_F(AttendPrefillTest, WindowsAndCaps) {
  check({kB, 64, 2, 70, 200, 130, {.window = 1}});
  check({kB, 64, 2, 70, 200, 130, {.window = 50}});
  check({kF, 96, 1, 100, 100, 0, {.window = 64}});
  check({kB, 64, 2, 20, 90, 70, {.softcap = 2}});
  check({kF, 256, 1, 20, 90, 70, {.window = 33, .softcap = 20}});
}

// Logits so far apart that a row's greatest one keeps moving, and weights vanish.
TEST_F(AttendPrefillTest, SteepLogits) {
  check({kB, 64, 2, 70, 400, 330, {}, 16});
  check({kF, 128, 1, 30, 300, 270, {}, 16});
  check({kF, 256, 1, 20, 200, 180, {}, 16});
}

// Entries with gaps, a tail behind them, bits that are off.
TEST_F(AttendPrefillTest, RaggedLanes) {
  for (const DType dtype : {kB, kF}) {
    CudaDevice device(dtype);
    std::mt19937 rng(2);
    const int H = 2, D = 64, rows = 45;
    for (const int window : {0, 60}) {
      HalfLanes lanes{{device, dtype, D, some_of(300, 101, rng), rng},
                      {device, dtype, D, ascending(300, 7 + rows), rng}};
      for (const bool thin : {false, true}) {
        if (thin) lanes.base.thin_out(3, rng);
        const auto queries = random_halves(dtype, std::size_t(rows * H * D), rng);
        const AttendTask task{lanes.view(), 0, rows, 0, H, 307, {.window = window}};
        const auto got = run_half(device, cuda::attend_prefill, {{task}}, queries, {rows, H, D}, dtype);
        expect_close(got, lanes, task, queries, H, D, dtype);
      }
    }
  }
}

// A row gives the same bits whatever stands beside it: the chunk, other tasks, their order.
TEST_F(AttendPrefillTest, RowsStandAlone) {
  CudaDevice device(kB);
  std::mt19937 rng(3);
  const int H = 6, D = 64, rows = 90, entries = 200;
  const HalfLanes lanes[] = {{{device, kB, D, ascending(0, entries), rng}, {device, kB, D, {}, rng}},
                             {{device, kB, D, ascending(0, entries), rng}, {device, kB, D, {}, rng}}};
  const auto queries = random_halves(kB, std::size_t(rows * H * D), rng, 8);
  for (const AttentionForm form : {AttentionForm{}, {.window = 70}, {.softcap = 5}}) {
    const auto task = [&](int lane, int first, int count) {
      return AttendTask{lanes[lane].view(), first, count, 3 * lane, 3, entries - rows + first, form};
    };
    const auto run = [&](std::vector<AttendTask> tasks) {
      return run_half(device, cuda::attend_prefill, tasks, queries, {rows, H, D}, kB);
    };
    const HalfOutput whole = run({task(0, 0, rows), task(1, 0, rows)});
    for (const auto& other : {run({task(1, 0, rows), task(0, 0, rows)}),
                              run({task(0, 0, 41), task(1, 60, 30), task(1, 0, 60), task(0, 41, 49)})}) {
      EXPECT_EQ(other.out, whole.out);
      EXPECT_EQ(other.log_sums, whole.log_sums);
    }
  }
}

}  // namespace
}  // namespace evictbench
