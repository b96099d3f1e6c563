#include "core/cpu/pack.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/cpu/device.h"

namespace evictbench::cpu {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;  // about what one task reads

// Squares of words of 4 or 2 bytes, turned: word [k, r] of `to`, whose rows are `to_step` bytes apart, from word [r, k] of
// `from`. SSE2 belongs to every x86-64, so this needs no path.
template <int kWord>
constexpr int kSquare = 16 / kWord;

inline __m128i load_16(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

void turn_4x4(__m128i a, __m128i b, __m128i c, __m128i d, std::byte* to, std::ptrdiff_t to_step) {
  const __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d),
                high_ab = _mm_unpackhi_epi32(a, b), high_cd = _mm_unpackhi_epi32(c, d);
  const auto put = [&](int k, __m128i v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + k * to_step), v);
  };
  put(0, _mm_unpacklo_epi64(ab, cd));
  put(1, _mm_unpackhi_epi64(ab, cd));
  put(2, _mm_unpacklo_epi64(high_ab, high_cd));
  put(3, _mm_unpackhi_epi64(high_ab, high_cd));
}

template <int kWord>
void turn_square(const std::byte* from, std::ptrdiff_t step, std::byte* to, std::ptrdiff_t to_step) {
  const auto row = [&](int r) { return load_16(from + r * step); };
  if constexpr (kWord == 4) {
    turn_4x4(row(0), row(1), row(2), row(3), to, to_step);
  } else {  // two rows make a word of 4 bytes
    const auto low = [&](int r) { return _mm_unpacklo_epi16(row(r), row(r + 1)); };
    const auto high = [&](int r) { return _mm_unpackhi_epi16(row(r), row(r + 1)); };
    turn_4x4(low(0), low(2), low(4), low(6), to, to_step);
    turn_4x4(high(0), high(2), high(4), high(6), to + 4 * to_step, to_step);
  }
}

// Rows of `depth` words, at most a panel of them, to columns of a panel that is kWeightPanel words wide. A cache line of
// every row after the other, so that what is written stays in the nearest cache.
template <int kWord>
void turn(const std::byte* rows, int count, int depth, std::byte* panel) {
  constexpr int kSide = kSquare<kWord>, kLine = 64 / kWord;
  const std::ptrdiff_t step = std::ptrdiff_t{depth} * kWord, to_step = kWeightPanel * kWord;
  for (int begin = 0; begin < depth; begin += kLine) {
    const int end = std::min(depth, begin + kLine);
    for (int r = 0; r < count;) {
      const int side = r + kSide <= count ? kSide : 1;
      const std::byte* from = rows + r * step;
      std::byte* to = panel + r * kWord;
      int k = begin;
      if (side == kSide)
        for (; k + kSide <= end; k += kSide)
          turn_square<kWord>(from + k * kWord, step, to + k * to_step, to_step);
      for (; k < end; ++k)
        for (int i = 0; i < side; ++i)
          std::memcpy(to + k * to_step + i * kWord, from + i * step + k * kWord, kWord);
      r += side;
    }
  }
}

// Rows [count, depth] to outputs `first`, first + 1, ...
void turn_rows(DType dtype, const void* rows, int count, int first, PackedMatrix& to) {
  static thread_local std::vector<std::byte> scratch;
  const bool as_stored = dtype == to.dtype && stored_depth(to) == to.depth;
  const std::size_t row_bytes = static_cast<std::size_t>(to.depth) * size_of(dtype),
                    stored_bytes = static_cast<std::size_t>(stored_depth(to)) * size_of(to.dtype);
  if (!as_stored) scratch.resize(std::max(scratch.size(), stored_bytes * kWeightPanel));
  for (int done = 0; done < count;) {
    const int column = (first + done) % kWeightPanel, some = std::min(count - done, kWeightPanel - column);
    const std::byte* from = static_cast<const std::byte*>(rows) + static_cast<std::size_t>(done) * row_bytes;
    if (!as_stored) convert_rows(dtype, from, some, to.depth, to.dtype, stored_depth(to), scratch.data());
    const std::byte* stored = as_stored ? from : scratch.data();
    auto* columns = static_cast<std::byte*>(to.panels.at(Place(to, first + done).at(0)));
    if (to.pairs)
      turn<4>(stored, some, stored_depth(to) / 2, columns);
    else if (to.dtype == DType::kF32)
      turn<4>(stored, some, to.depth, columns);
    else
      turn<2>(stored, some, to.depth, columns);
    done += some;
  }
}

// Rows of `part` go to outputs from `first` on. A task takes whole panels, so that no two write to one line of a cache.
void pack_part(CpuDevice& device, const WeightRows& part, int first, PackedMatrix& to) {
  const std::size_t row_bytes = static_cast<std::size_t>(to.depth) * size_of(part.dtype);
  const auto panels = static_cast<int>(
      std::clamp<std::size_t>(kPieceBytes / std::max<std::size_t>(1, row_bytes * kWeightPanel), 1, 1024));
  const int stretch = panels * kWeightPanel, begin = first / stretch, last = first + part.rows;
  device.each((last + stretch - 1) / stretch - begin, [&](int task) {
    const int from = std::max(first, (begin + task) * stretch),
              count = std::min(last, (begin + task + 1) * stretch) - from;
    if (part.data != nullptr)
      return turn_rows(
          part.dtype,
          static_cast<const char*>(part.data) + static_cast<std::size_t>(from - first) * row_bytes, count,
          from, to);
    static thread_local std::vector<std::byte> scratch;
    const std::size_t bytes = static_cast<std::size_t>(count) * row_bytes;
    scratch.resize(std::max(scratch.size(), bytes));
    part.read(from - first, std::span(scratch).first(bytes));
    turn_rows(part.dtype, scratch.data(), count, from, to);
  });
}

}  // namespace

// f32 mode keeps what is stored and widens exactly; bf16dot rounds everything to bf16.
PackedMatrix pack(Device& device, std::span<const WeightRows> parts, int depth) {
  PackedMatrix packed;
  packed.depth = depth;
  packed.pairs = cpu_of(device).products() == CpuDevice::Products::kBf16Dot;
  packed.dtype = packed.pairs ? DType::kBF16 : exact_type(parts);
  for (const WeightRows& part : parts) packed.outputs += part.rows;
  const int panels = panels_of(packed.outputs);
  packed.panels = Tensor(device, packed.dtype, {panels, stored_depth(packed), kWeightPanel});
  if (packed.outputs % kWeightPanel != 0) {  // the columns of the last panel that belong to no output
    const std::ptrdiff_t size = std::ptrdiff_t{stored_depth(packed)} * kWeightPanel;
    std::memset(packed.panels.at((panels - 1) * size), 0,
                static_cast<std::size_t>(size) * size_of(packed.dtype));
  }
  int first = 0;
  for (const WeightRows& part : parts) {
    pack_part(cpu_of(device), part, first, packed);
    first += part.rows;
  }
  return packed;
}

}  // namespace evictbench::cpu
