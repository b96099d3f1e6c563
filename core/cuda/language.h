#pragma once

#include <bit>
#include <cstdint>

// What kernels are written in: CUDA C++. nvcc compiles them for the card, g++ the same files for the emulator. Whatever
// the two spell differently is here or in tensor_core.h.
#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define EVICTBENCH_DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define EVICTBENCH_UNROLL _Pragma("unroll")  // before a loop over registers
#define EVICTBENCH_NO_UNROLL _Pragma("unroll 1")
#else
#include "core/cuda/emulator.h"
#define EVICTBENCH_UNROLL
#define EVICTBENCH_NO_UNROLL
#endif

#include "core/dtype.h"
#include "core/numerics.h"

namespace evictbench::cuda {

// The types that activations, keys and values are held in.
struct Bf16 {
  std::uint16_t bits;
};
struct F16 {
  std::uint16_t bits;
};

__device__ __forceinline__ float widen(float x) { return x; }
#if defined(__CUDACC__)
__device__ __forceinline__ float widen(Bf16 x) {
  return __uint_as_float(static_cast<std::uint32_t>(x.bits) << 16);
}
__device__ __forceinline__ float widen(F16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
#else
inline float widen(Bf16 x) { return bf16_to_f32(x.bits); }
inline float widen(F16 x) { return f16_to_f32(x.bits); }
#endif

// Round to nearest even.
template <class T>
__device__ __forceinline__ T narrow(float x);
template <>
__device__ __forceinline__ float narrow<float>(float x) {
  return x;
}
#if defined(__CUDACC__)
template <>
__device__ __forceinline__ Bf16 narrow<Bf16>(float x) {
  Bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <>
__device__ __forceinline__ F16 narrow<F16>(float x) {
  F16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
// 2^x, to about 2 units in the last place; 2^-inf = 0. Not for mode f32.
__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
template <>
inline Bf16 narrow<Bf16>(float x) {
  return {f32_to_bf16(x)};
}
template <>
inline F16 narrow<F16>(float x) {
  return {f32_to_f16(x)};
}
inline float fast_exp2(float x) { return std::exp2(x); }
#endif

// a / b to about 2 units in the last place, |b| below 2^126. Not for mode f32.
__device__ __forceinline__ float fast_divide(float a, float b) {
#if defined(__CUDACC__)
  return __fdividef(a, b);
#else
  return a / b;
#endif
}

// Two numbers in one word, the first one in the low half.
template <class T>
__device__ __forceinline__ std::uint32_t pair(float first, float second) {
#if defined(__CUDACC__)
  std::uint32_t word;
  if constexpr (std::is_same_v<T, Bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
  return word;
#else
  return narrow<T>(first).bits | static_cast<std::uint32_t>(narrow<T>(second).bits) << 16;
#endif
}

// threadIdx.x, asked for anew: what follows from it is not held in registers from one turn of a loop to the next.
__device__ __forceinline__ int thread_anew() {
#if defined(__CUDACC__)
  int x;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(x));
  return x;
#else
  return static_cast<int>(threadIdx.x);
#endif
}

// Bytes of shared or device memory as another type, aligned as that type is.
template <class T>
__device__ __forceinline__ T load_as(const void* from) {
#if defined(__CUDACC__)
  return *static_cast<const T*>(from);
#else
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
#endif
}
template <class T>
__device__ __forceinline__ void store_as(void* to, const T& value) {
#if defined(__CUDACC__)
  *static_cast<T*>(to) = value;
#else
  std::memcpy(to, &value, sizeof value);
#endif
}

// What is moved 16 bytes at a time.
struct alignas(16) Bytes16 {
  std::uint32_t word[4];
};

}  // namespace evictbench::cuda
