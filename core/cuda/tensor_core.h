#pragma once

#include "core/cuda/language.h"

// The instructions of tensor cores and of copies into shared memory (sm_80 and later), and what the emulator does in
// their place. Fragments as PTX has them: lane l of a warp holds, with g = l / 4 and t = l % 4,
//   A [16, 16]: rows g, g + 8 in a0, a1; words 2t, 2t + 1 of depth, and the same 8 further on in a2, a3
//   B [16, 8]:  column g; depths 2t, 2t + 1 in b0, 8 further on in b1
//   C [16, 8]:  rows g (c0, c1) and g + 8 (c2, c3), columns 2t, 2t + 1
namespace evictbench::cuda {

struct FragmentA {
  std::uint32_t word[4];
};
struct FragmentB {
  std::uint32_t word[2];
};
struct FragmentC {
  float v[4];
};

#if defined(__CUDACC__)

// c += a b, T = Bf16 or F16, f32 accumulators
template <class T>
__device__ __forceinline__ void multiply_add(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  if constexpr (std::is_same_v<T, Bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c.v[0]), "+f"(c.v[1]), "+f"(c.v[2]), "+f"(c.v[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]), "r"(b.word[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c.v[0]), "+f"(c.v[1]), "+f"(c.v[2]), "+f"(c.v[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]), "r"(b.word[1]));
}

// Where something lies in shared memory, in bytes: one register, and what is added is part of the instruction.
using SharedAddress = std::uint32_t;
__device__ __forceinline__ SharedAddress shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

// Four matrices of 8 rows of 16 bytes: lanes 8i .. 8i + 7 name the rows of matrix i. Word i of a lane: row l / 4, words
// l % 4 of matrix i; transposed: column l / 4, rows 2 (l % 4) and the next.
__device__ __forceinline__ void load_matrices(std::uint32_t (&words)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void load_matrices(std::uint32_t (&words)[4], const void* row) {
  load_matrices(words, shared_address(row));
}
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&words)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&words)[4], const void* row) {
  load_matrices_transposed(words, shared_address(row));
}

// 16 bytes to shared memory, of which `valid` (0 or 16) come from `from`, the rest are 0. Seen after
// commit_copies(), wait_copies<n>() (all but the n newest groups are there) and a barrier.
__device__ __forceinline__ void copy_16(SharedAddress to, const void* from, int valid = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(valid) : "memory");
}
__device__ __forceinline__ void copy_16(void* to, const void* from, int valid = 16) {
  copy_16(shared_address(to), from, valid);
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int groups_left>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
}

#else

template <class T>
void multiply_add(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  const std::uint32_t words[6] = {a.word[0], a.word[1], a.word[2], a.word[3], b.word[0], b.word[1]};
  const unsigned char* slots = emulator::exchange(0xffffffffu, words, sizeof words);
  const unsigned g = emulator::lane() / 4, t = emulator::lane() % 4;
  // 16 numbers of depth: words `first` and first + step of the four lanes that hold a row of A or a column of B
  const auto row = [&](unsigned holder, unsigned first, unsigned step, float(&to)[16]) {
    for (unsigned k = 0; k < 16; k += 2) {
      std::uint32_t word;
      std::memcpy(&word, slots + (holder * 4 + k % 8 / 2) * emulator::kSlot + 4 * (first + k / 8 * step), 4);
      to[k] = widen(T{static_cast<std::uint16_t>(word)});
      to[k + 1] = widen(T{static_cast<std::uint16_t>(word >> 16)});
    }
  };
  float left[2][16], right[2][16];
  for (unsigned i = 0; i < 2; ++i) {
    row(g, i, 2, left[i]);
    row(2 * t + i, 4, 1, right[i]);
  }
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k)  // the hardware's order is its own
      c.v[i] = numerics::fma(left[i / 2][k], right[i % 2][k], c.v[i]);
}

using SharedAddress = unsigned char*;
inline SharedAddress shared_address(const void* p) {
  return static_cast<SharedAddress>(const_cast<void*>(p));
}

inline void load_matrices(std::uint32_t (&words)[4], const void* row) {
  const unsigned char* slots = emulator::exchange(0xffffffffu, &row, sizeof row);
  for (unsigned i = 0; i < 4; ++i) {
    const auto* from = emulator::shown_by<const unsigned char*>(slots, 8 * i + emulator::lane() / 4);
    std::memcpy(&words[i], from + 4 * (emulator::lane() % 4), 4);
  }
}
inline void load_matrices_transposed(std::uint32_t (&words)[4], const void* row) {
  const unsigned char* slots = emulator::exchange(0xffffffffu, &row, sizeof row);
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned j = 0; j < 2; ++j) {
      const auto* from =
          emulator::shown_by<const unsigned char*>(slots, 8 * i + 2 * (emulator::lane() % 4) + j);
      std::uint16_t half;
      std::memcpy(&half, from + 2 * (emulator::lane() / 4), 2);
      words[i] = j == 0 ? half : words[i] | static_cast<std::uint32_t>(half) << 16;
    }
}

inline void copy_16(void* to, const void* from, int valid = 16) {
  emulator::begin_copy(to, from, 16, static_cast<std::size_t>(valid));
}
inline void commit_copies() { emulator::commit_copies(); }
template <int groups_left>
void wait_copies() {
  emulator::wait_copies(groups_left);
}

#endif

}  // namespace evictbench::cuda
