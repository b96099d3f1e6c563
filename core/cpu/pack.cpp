#include "core/cpu/pack.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/cpu/device.h"

namespace evictbench::cpu {
namespace {

constexpr int kTile =
    16;  // depths that are turned together, so that what is written stays in the nearest cache
constexpr std::size_t kPieceBytes = std::size_t{1} << 18;  // about what one task reads

// Turns `count` rows [count, depth] into columns of the panel(s) of outputs first, first + 1, ...
template <class In, class Out, class Convert>
void turn(const In* rows, int count, int first, PackedMatrix& to, Out* panels, const Convert& convert) {
  const std::ptrdiff_t step =
      to.pairs ? 2 : kWeightPanel;  // from one depth to the next, within a pair or at all
  for (int begin = 0; begin < to.depth; begin += kTile) {
    const int end = std::min(to.depth, begin + kTile);
    for (int r = 0; r < count; ++r) {
      const In* from = rows + std::ptrdiff_t{r} * to.depth;
      const Place place(to, first + r);
      Out* out = panels + place.at(begin);
      if (to.pairs) {
        for (int k = begin; k < end; ++k) panels[place.at(k)] = convert(from[k]);
        if (end == to.depth && end % 2 != 0) panels[place.at(end)] = 0;  // the second of the last pair
      } else {
        for (int k = begin; k < end; ++k, out += step) *out = convert(from[k]);
      }
    }
  }
}

void turn_rows(DType dtype, const void* rows, int count, int first, PackedMatrix& to) {
  const auto* words = static_cast<const float*>(rows);
  const auto* halves = static_cast<const std::uint16_t*>(rows);
  if (to.dtype == DType::kF32) {
    float* panels = to.panels.data<float>();
    if (dtype == DType::kF32) return turn(words, count, first, to, panels, [](float x) { return x; });
    if (dtype == DType::kF16) return turn(halves, count, first, to, panels, f16_to_f32);
    return turn(halves, count, first, to, panels, bf16_to_f32);
  }
  std::uint16_t* panels = to.panels.data<std::uint16_t>();
  if (dtype == DType::kF32) return turn(words, count, first, to, panels, f32_to_bf16);
  if (dtype == DType::kF16)
    return turn(halves, count, first, to, panels, [](std::uint16_t x) { return f32_to_bf16(f16_to_f32(x)); });
  return turn(halves, count, first, to, panels, [](std::uint16_t x) { return x; });
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
    if (scratch.size() < bytes) scratch.resize(bytes);
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
  const bool all_bf16 = std::ranges::all_of(parts, [](const auto& p) { return p.dtype == DType::kBF16; });
  packed.dtype = packed.pairs || all_bf16 ? DType::kBF16 : DType::kF32;
  for (const WeightRows& part : parts) packed.outputs += part.rows;
  const int panels = panels_of(packed.outputs);
  packed.panels = Tensor(device, packed.dtype, {panels, stored_depth(packed), kWeightPanel});
  if (packed.outputs % kWeightPanel != 0) {  // the columns of the last panel that belong to no output
    const std::size_t bytes = packed.panels.bytes() / static_cast<std::size_t>(panels);
    char* all = packed.dtype == DType::kBF16 ? reinterpret_cast<char*>(packed.panels.data<std::uint16_t>())
                                             : reinterpret_cast<char*>(packed.panels.data<float>());
    std::memset(all + static_cast<std::size_t>(panels - 1) * bytes, 0, bytes);
  }
  int first = 0;
  for (const WeightRows& part : parts) {
    pack_part(cpu_of(device), part, first, packed);
    first += part.rows;
  }
  return packed;
}

}  // namespace evictbench::cpu
