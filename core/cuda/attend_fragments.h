#pragma once

#include "core/cuda/tensor_core.h"

// What both kernels of attend_half.h do with keys and values in shared memory. Keys lie there in panels [D, 16] whose
// two halves of a row change places in every second stretch of 4 rows, values in rows of D + 8: so the 8 rows of 16 bytes
// that load_matrices meets at a time lie in different banks.
namespace evictbench::cuda {

constexpr int kPitchMore = 8;  // elements, behind each row of queries and values

// Where half of row d of a panel of keys lies, in bytes.
__device__ __forceinline__ int key_half(int d, int half) { return (d * 2 + (half ^ (d >> 2 & 1))) * 16; }

// Keys of a panel at dims 16k .. 16k + 16, transposed: fragments B of its first 8 and its last 8 entries.
__device__ __forceinline__ int first_key(int lane) { return key_half(lane % 16, lane / 16); }
__device__ __forceinline__ void load_keys(SharedAddress panel_and_first, int k, FragmentB (&b)[2]) {
  std::uint32_t words[4];
  load_matrices_transposed(words, panel_and_first + 512 * k);
  b[0] = {{words[0], words[1]}};
  b[1] = {{words[2], words[3]}};
}

// Dims 16n .. 16n + 16 of 16 rows of values: fragments B of the first 8 and the last 8 dims.
__device__ __forceinline__ int first_value(int lane, int pitch) {
  return (lane % 16 * pitch + lane / 16 * 8) * 2;
}
__device__ __forceinline__ void load_values(SharedAddress rows_and_first, int n, FragmentB (&b)[2]) {
  std::uint32_t words[4];
  load_matrices_transposed(words, rows_and_first + 32 * n);
  b[0] = {{words[0], words[1]}};
  b[1] = {{words[2], words[3]}};
}

// Of m16 tiles side by side, a lane holds 2 rows each: number i of row r.
template <int M, int N>
__device__ __forceinline__ float& number(FragmentC (&c)[M][N], int r, int i) {
  return c[r / 2][i / 2].v[r % 2 * 2 + i % 2];
}
template <int M, int N>
__device__ __forceinline__ void clear(FragmentC (&c)[M][N]) {
  EVICTBENCH_UNROLL
  for (int i = 0; i < M * N; ++i) c[i / N][i % N] = {};
}

// Two fragments of weights, 16 keys, as fragment A of the product with values.
template <class T>
__device__ __forceinline__ FragmentA weights_of(const FragmentC& first, const FragmentC& last) {
  return {{pair<T>(first.v[0], first.v[1]), pair<T>(first.v[2], first.v[3]), pair<T>(last.v[0], last.v[1]),
           pair<T>(last.v[2], last.v[3])}};
}

// Bits from .. to - 1 of 64, of any from and to.
__device__ __forceinline__ std::uint64_t bits_of(int from, int to) {
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  const std::uint64_t behind = from <= 0 ? kAll : from >= 64 ? 0 : kAll << from;
  return to >= 64 ? behind : to <= 0 ? 0 : behind & ~(kAll << to);
}

// cap tanh(scaled / cap), scaled = x scale
__device__ __forceinline__ float capped(float x, float scale, float cap) {
  const float u = x * fast_divide(scale, cap), t = fast_exp2(-2.0f * numerics::kLog2e * (u < 0 ? -u : u));
  const float tanh = fast_divide(1.0f - t, 1.0f + t);
  return u < 0 ? -cap * tanh : cap * tanh;
}

template <int M, int N>
__device__ __forceinline__ void cap(float scale, float softcap, FragmentC (&logits)[M][N]) {
  EVICTBENCH_UNROLL
  for (int i = 0; i < M * N; ++i) {
    EVICTBENCH_UNROLL
    for (float& x : logits[i / N][i % N].v) x = capped(x, scale, softcap);
  }
}

// Over the 4 lanes that hold a row of a fragment C.
__device__ __forceinline__ float greatest_of_row(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ __forceinline__ float sum_of_row(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

}  // namespace evictbench::cuda
