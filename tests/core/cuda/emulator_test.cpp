// The emulator itself: it runs what a card would, and refuses what a card would not survive.
#include "core/cuda/emulator.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "core/cuda/tensor_core.h"
#include "core/error.h"
#include "tests/support/cuda.h"

#ifdef EVICTBENCH_EMULATED
namespace evictbench {
namespace {

using cuda::Bf16;

TEST(Emulator, RunsEveryThreadOfEveryBlock) {
  std::vector<int> seen(5 * 3 * 2 * 7 * 4);
  emulator::run({5, 3, 2}, {7, 4}, 0, [&] {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    ++seen[(block * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x];
  });
  for (const int count : seen) EXPECT_EQ(count, 1);
}

// Sum of a block: a tree in shared memory with a barrier between its levels.
void sum_block(const int* in, int* out, bool forget_barrier) {
  EVICTBENCH_DYNAMIC_SHARED(bytes);
  int* const shared = reinterpret_cast<int*>(bytes);
  const unsigned t = threadIdx.x;
  shared[t] = in[blockIdx.x * blockDim.x + t];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (t < half) shared[t] += shared[t + half];
    if (!forget_barrier) __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = shared[0];
}

TEST(Emulator, BarriersOrderSharedMemory) {
  std::vector<int> in(3 * 64);
  std::iota(in.begin(), in.end(), 0);
  in_every_order([&] {
    std::vector<int> out(3);
    emulator::run(3, 64, 64 * sizeof(int), [&] { sum_block(in.data(), out.data(), false); });
    EXPECT_EQ(out, (std::vector<int>{2016, 6112, 10208}));
  });
}

TEST(Emulator, AForgottenBarrierShowsInAnotherOrder) {
  std::vector<int> in(64, 1), out(1);
  bool differs = false;
  in_every_order([&] {
    emulator::run(1, 64, 64 * sizeof(int), [&] { sum_block(in.data(), out.data(), true); });
    differs |= out[0] != 64;
  });
  EXPECT_TRUE(differs);
}

TEST(Emulator, WarpsThatWaitForNoBarrierGoAtTheirOwnPace) {
  bool differs = false;
  in_every_order([&] {
    std::vector<int> out(64);
    emulator::run(1, 64, 64 * sizeof(int), [&] {
      EVICTBENCH_DYNAMIC_SHARED(bytes);
      int* const shared = reinterpret_cast<int*>(bytes);
      shared[threadIdx.x] = 1;
      __syncwarp();  // not enough: another warp's number is read
      out[threadIdx.x] = shared[(threadIdx.x + 32) % 64];
    });
    differs |= std::accumulate(out.begin(), out.end(), 0) != 64;
  });
  EXPECT_TRUE(differs);
}

TEST(Emulator, LanesOfAWarpSeeEachOther) {
  in_every_order([&] {
    std::vector<int> sums(96), ballots(96);
    emulator::run(1, 96, 0, [&] {
      const int mine = static_cast<int>(threadIdx.x);
      int sum = mine;
      for (int bits = 16; bits > 0; bits /= 2) sum += __shfl_xor_sync(~0u, sum, bits);
      sums[threadIdx.x] = sum;
      ballots[threadIdx.x] = __popc(__ballot_sync(~0u, mine % 3 == 0));
      if (threadIdx.x % 32 < 8) {
        EXPECT_EQ(__shfl_sync(0xffu, mine, 3), mine / 32 * 32 + 3);
      }
    });
    for (int i = 0; i < 96; ++i) {
      EXPECT_EQ(sums[static_cast<std::size_t>(i)], 496 + i / 32 * 1024);
      EXPECT_EQ(ballots[static_cast<std::size_t>(i)], i / 32 == 2 ? 10 : 11);
    }
  });
}

TEST(Emulator, RefusesThreadsThatWaitInDifferentPlaces) {
  EXPECT_THROW(emulator::run(1, 64, 0,
                             [&] {
                               if (threadIdx.x < 32)
                                 __syncthreads();
                               else if (threadIdx.x == 40)
                                 __shfl_sync(~0u, 1, 0);
                               else
                                 __syncthreads();
                             }),
               Error);
  int after = 0;  // and is whole again afterwards
  emulator::run(1, 1, 0, [&] { after = 1; });
  EXPECT_EQ(after, 1);
}

TEST(Emulator, PassesOnWhatAThreadThrows) {
  EXPECT_THROW(emulator::run(2, 64, 0,
                             [&] {
                               __syncthreads();
                               require(threadIdx.x != 5 || blockIdx.x == 0, "thread 5");
                             }),
               Error);
}

TEST(Emulator, RefusesWhatNoCardTakes) {
  EXPECT_THROW(emulator::run(1, 2048, 0, [] {}), Error);
  EXPECT_THROW(emulator::run({1, 70000}, 1, 0, [] {}), Error);
  EXPECT_THROW(emulator::run(1, 1, 300 << 10, [] {}), Error);
}

TEST(Emulator, CopiesAreThereWhenWaitedFor) {
  alignas(16) float from[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  emulator::run(1, 1, 64, [&] {
    EVICTBENCH_DYNAMIC_SHARED(bytes);
    auto* const to = reinterpret_cast<float*>(bytes);
    cuda::copy_16(to, from);
    cuda::commit_copies();
    cuda::copy_16(to + 4, from + 4, 0);
    cuda::commit_copies();
    EXPECT_TRUE(std::isnan(to[0]));
    cuda::wait_copies<1>();
    EXPECT_EQ(to[3], 4);
    EXPECT_TRUE(std::isnan(to[4]));
    cuda::wait_copies<0>();
    EXPECT_EQ(to[4], 0);
  });
}

TEST(Emulator, TensorCoresMultiply) {
  alignas(16) Bf16 a[16][16], b[16][8];  // [rows, depth], [depth, columns]
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < 16; ++k) a[i][k] = cuda::narrow<Bf16>(static_cast<float>(i - 2 * k));
    for (int j = 0; j < 8; ++j) b[i][j] = cuda::narrow<Bf16>(static_cast<float>(i * j % 5 - j));
  }
  in_every_order([&] {
    emulator::run(1, 32, 0, [&] {
      const unsigned l = threadIdx.x;
      cuda::FragmentA left;
      cuda::load_matrices(left.word, &a[l % 16][l / 16 * 8]);
      std::uint32_t words[4];
      cuda::load_matrices_transposed(words, &b[l % 16][0]);
      cuda::FragmentC sum{{1, 1, 1, 1}};
      cuda::multiply_add<Bf16>(sum, left, {{words[0], words[1]}});
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
        float expected = 1;
        for (unsigned k = 0; k < 16; ++k) expected += cuda::widen(a[row][k]) * cuda::widen(b[k][column]);
        EXPECT_EQ(sum.v[i], expected);
      }
    });
  });
}

}  // namespace
}  // namespace evictbench
#endif
