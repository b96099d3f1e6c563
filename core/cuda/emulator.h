#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

// Kernels on the host, for tests: the part of CUDA C++ that our kernels use, as g++ can compile it. A block is a loop
// over its threads, each a fiber that runs until it waits for others; shared memory is an array that the blocks of a grid
// use one after the other. What a kernel may not do here, it may not do on a card: threads that wait for each other in
// different places, too much shared memory, a grid too large are errors.
namespace evictbench::emulator {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

struct Extent {
  unsigned x = 1, y = 1, z = 1;
  Extent() = default;
  Extent(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned long long count() const { return 1ull * x * y * z; }
};

struct Here {  // the thread that runs now
  Index thread, block;
  Extent block_extent, grid_extent;
  unsigned char* shared = nullptr;  // dynamic
};
extern thread_local Here here;

// In which order the threads of a block run between two barriers. A result that depends on it is a race.
enum class Order { kAscending, kDescending, kShuffled };
void set_order(Order order, std::uint64_t seed = 0);

// Runs body() for every thread of every block.
void run(Extent grid, Extent block, std::size_t shared_bytes, const std::function<void()>& body);

void wait_block();
constexpr int kWarp = 32, kSlot = 64;  // lanes; bytes that a lane can show to the others at a time
// Shows `bytes` at `mine` to the lanes of `mask`, which all must come here; -> the slots of the warp, [32][kSlot].
const unsigned char* exchange(unsigned mask, const void* mine, std::size_t bytes);
unsigned lane();

template <class T>
T shown_by(const unsigned char* slots, unsigned from) {
  T value;
  std::memcpy(&value, slots + from * kSlot, sizeof value);
  return value;
}

// Copies that have begun and not been waited for, of the running thread; committed in groups.
void begin_copy(void* to, const void* from, std::size_t bytes, std::size_t valid);
void commit_copies();
void wait_copies(int groups_left);

}  // namespace evictbench::emulator

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __shared__ static thread_local
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__
#define threadIdx (::evictbench::emulator::here.thread)
#define blockIdx (::evictbench::emulator::here.block)
#define blockDim (::evictbench::emulator::here.block_extent)
#define gridDim (::evictbench::emulator::here.grid_extent)
#define warpSize 32
#define EVICTBENCH_DYNAMIC_SHARED(name) unsigned char* const name = ::evictbench::emulator::here.shared

using dim3 = evictbench::emulator::Extent;

inline void __syncthreads() { evictbench::emulator::wait_block(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { evictbench::emulator::exchange(mask, nullptr, 0); }

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const auto lane = evictbench::emulator::lane();
  const unsigned first = lane / static_cast<unsigned>(width) * static_cast<unsigned>(width);
  return evictbench::emulator::shown_by<T>(
      evictbench::emulator::exchange(mask, &value, sizeof value),
      first + static_cast<unsigned>(from) % static_cast<unsigned>(width));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  const auto lane = evictbench::emulator::lane();
  return evictbench::emulator::shown_by<T>(evictbench::emulator::exchange(mask, &value, sizeof value),
                                           lane ^ static_cast<unsigned>(bits));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  const auto lane = evictbench::emulator::lane();
  const auto* slots = evictbench::emulator::exchange(mask, &value, sizeof value);
  return lane + by < 32 ? evictbench::emulator::shown_by<T>(slots, lane + by) : value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
  const auto lane = evictbench::emulator::lane();
  const auto* slots = evictbench::emulator::exchange(mask, &value, sizeof value);
  return lane >= by ? evictbench::emulator::shown_by<T>(slots, lane - by) : value;
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const auto* slots = evictbench::emulator::exchange(mask, &predicate, sizeof predicate);
  unsigned votes = 0;
  for (unsigned i = 0; i < 32; ++i)
    if ((mask >> i & 1u) && evictbench::emulator::shown_by<int>(slots, i)) votes |= 1u << i;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }

// Fibers of one host thread: nothing runs between reading and writing.
template <class T>
T atomicAdd(T* at, std::type_identity_t<T> x) {
  const T before = *at;
  *at = before + x;
  return before;
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> x) {
  const T before = *at;
  *at = before > x ? before : x;
  return before;
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> x) {
  const T before = *at;
  *at = before < x ? before : x;
  return before;
}
template <class T>
T atomicOr(T* at, std::type_identity_t<T> x) {
  const T before = *at;
  *at = before | x;
  return before;
}
template <class T>
T __ldg(const T* at) {
  return *at;
}
