#pragma once

#include <limits>
#include <type_traits>

#include "core/cuda/launch.h"

// Kernels over the elements of rows: a thread takes a pack of neighbours, read and written 16 bytes at a time.
namespace evictbench::cuda {

constexpr int kPack = 8;  // elements that a thread takes at a time, where rows are whole packs; else one

// Packs of 8 begin at multiples of 16 bytes: memory does, and so do rows of whole packs.
template <int W, class T>
__device__ __forceinline__ void load(const T* from, float (&x)[W]) {
  if constexpr (W == 1) {
    x[0] = widen(*from);
  } else {
    constexpr int kLine = 16 / sizeof(T);
    struct alignas(16) Line {
      T v[kLine];
    };
    EVICTBENCH_UNROLL
    for (int i = 0; i < W; i += kLine) {
      const Line line = load_as<Line>(from + i);
      EVICTBENCH_UNROLL
      for (int j = 0; j < kLine; ++j) x[i + j] = widen(line.v[j]);
    }
  }
}

template <int W, class T>
__device__ __forceinline__ void store(T* to, const float (&x)[W]) {
  if constexpr (W == 1) {
    *to = narrow<T>(x[0]);
  } else {
    constexpr int kLine = 16 / sizeof(T);
    struct alignas(16) Line {
      T v[kLine];
    };
    EVICTBENCH_UNROLL
    for (int i = 0; i < W; i += kLine) {
      Line line;
      EVICTBENCH_UNROLL
      for (int j = 0; j < kLine; ++j) line.v[j] = narrow<T>(x[i + j]);
      store_as(to + i, line);
    }
  }
}

template <class T>
const T* elements(const Tensor& t) {
  return static_cast<const T*>(t.at(0));
}
template <class T>
T* elements(Tensor& t) {
  return static_cast<T*>(t.at(0));
}

constexpr bool whole_packs(int columns) { return columns % kPack == 0; }

// body.template run<W>(row, column) for every pack; a row is `pieces` blocks.
template <int W, class Body>
__global__ void run_rows(Body body, int columns, int pieces) {
  const int piece = static_cast<int>(blockIdx.x % static_cast<unsigned>(pieces));
  const int column = (piece * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * W;
  if (column < columns) body.template run<W>(blockIdx.x / static_cast<unsigned>(pieces), column);
}

template <int W, class Body>
void each_pack_of(Device& device, const Body& body, std::ptrdiff_t rows, int columns) {
  constexpr int kMostThreads = 256;
  if (rows == 0 || columns == 0) return;
  const int packs = columns / W, threads = std::min(kMostThreads, ceil_div(packs, 32) * 32),
            pieces = ceil_div(packs, threads);
  require(rows * pieces <= std::numeric_limits<std::int32_t>::max(), "cuda: too many rows for one launch");
  launch(device, run_rows<W, Body>, {static_cast<unsigned>(rows * pieces), static_cast<unsigned>(threads)},
         body, columns, pieces);
}

template <class Body>
void each_element(Device& device, const Body& body, std::ptrdiff_t rows, int columns) {
  each_pack_of<1>(device, body, rows, columns);
}

// `packed`: rows, and whatever else the body reads, are whole packs.
template <class Body>
void each_pack(Device& device, const Body& body, std::ptrdiff_t rows, int columns, bool packed) {
  if (packed)
    each_pack_of<kPack>(device, body, rows, columns);
  else
    each_element(device, body, rows, columns);
}

}  // namespace evictbench::cuda
