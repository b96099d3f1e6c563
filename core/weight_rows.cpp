#include "core/weight_rows.h"

#include <algorithm>
#include <cstdint>

#include "core/error.h"

namespace evictbench {
namespace {

struct F32 {
  using Element = float;
  static float widen(float x) { return x; }
  static float narrow(float x) { return x; }
};
struct Bf16 {
  using Element = std::uint16_t;
  static float widen(std::uint16_t x) { return bf16_to_f32(x); }
  static std::uint16_t narrow(float x) { return f32_to_bf16(x); }
};
struct F16 {
  using Element = std::uint16_t;
  static float widen(std::uint16_t x) { return f16_to_f32(x); }
  static std::uint16_t narrow(float x) { return f32_to_f16(x); }
};

template <class F>
void with_element(DType dtype, const F& f) {
  if (dtype == DType::kF32) return f(F32{});
  if (dtype == DType::kF16) return f(F16{});
  require(dtype == DType::kBF16, "weights are floating-point numbers");
  f(Bf16{});
}

template <class In, class Out>
void convert(const void* stored, int rows, int depth, int stride, void* out) {
  const auto* from = static_cast<const typename In::Element*>(stored);
  auto* to = static_cast<typename Out::Element*>(out);
  for (int r = 0; r < rows; ++r, from += depth, to += stride) {
    for (int k = 0; k < depth; ++k) to[k] = Out::narrow(In::widen(from[k]));
    std::fill(to + depth, to + stride, typename Out::Element{});
  }
}

}  // namespace

DType exact_type(std::span<const WeightRows> parts) {
  const auto is_like_first = [&](const WeightRows& part) { return part.dtype == parts.front().dtype; };
  return !parts.empty() && std::ranges::all_of(parts, is_like_first) ? parts.front().dtype : DType::kF32;
}

void convert_rows(DType from, const void* stored, int rows, int depth, DType to, int stride, void* out) {
  with_element(from, [&]<class In>(In) {
    with_element(to, [&]<class Out>(Out) { convert<In, Out>(stored, rows, depth, stride, out); });
  });
}

}  // namespace evictbench
