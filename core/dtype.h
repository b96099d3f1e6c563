#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace evictbench {

enum class DType : std::uint8_t { kF32, kF16, kBF16, kI32 };

constexpr std::size_t size_of(DType dtype) { return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2; }

constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view kNames[] = {"f32", "f16", "bf16", "i32"};
  return kNames[static_cast<std::size_t>(dtype)];
}

// Exact.
[[gnu::always_inline]] inline float bf16_to_f32(std::uint16_t x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

// Exact, subnormals included.
[[gnu::always_inline]] inline float f16_to_f32(std::uint16_t x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x & 0x8000u) << 16, rest = x & 0x7fffu;
  const std::uint32_t moved = rest << 13, infinite = rest >= 0x7c00u ? 0x7f800000u : 0u;
  const float value = std::bit_cast<float>(moved) * 0x1p112f;  // from one exponent bias to the other
  return std::bit_cast<float>(sign | infinite | (infinite ? moved : std::bit_cast<std::uint32_t>(value)));
}

// Round to nearest even, in integer arithmetic. NaN stays NaN; what is too large becomes infinite.
[[gnu::always_inline]] inline std::uint16_t f32_to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u, size = bits & 0x7fffffffu;
  const auto with_sign = [sign](std::uint32_t rest) { return static_cast<std::uint16_t>(sign | rest); };
  if (size > 0x7f800000u) return with_sign(0x7e00u | ((size >> 13) & 0x3ffu));
  if (size >= 0x477ff000u) return with_sign(0x7c00u);  // 65520 and above
  if (size >= 0x38800000u)                             // 2^-14: normal
    return with_sign((size - 0x38000000u + 0xfffu + ((size >> 13) & 1u)) >> 13);
  if (size <= 0x33000000u) return with_sign(0);  // 2^-25, half of the smallest
  const std::uint32_t significand = (size & 0x7fffffu) | 0x800000u, shift = 126u - (size >> 23);
  const std::uint32_t kept = significand >> shift, lost = significand & ((1u << shift) - 1u),
                      half = 1u << (shift - 1u);
  return with_sign(kept + (lost > half || (lost == half && (kept & 1u) != 0) ? 1u : 0u));
}

// Round to nearest even, in integer arithmetic. NaN stays NaN.
[[gnu::always_inline]] inline std::uint16_t f32_to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace evictbench
