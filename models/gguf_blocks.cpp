#include "models/gguf_blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "core/dtype.h"

namespace evictbench {
namespace {

constexpr int kBlock = 32, kSuper = 256;  // elements

using Bytes = const std::uint8_t*;

float half_at(Bytes at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return f16_to_f32(bits);
}

std::uint32_t word_at(Bytes at) {
  std::uint32_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

void f32(Bytes block, float* out) { *out = std::bit_cast<float>(word_at(block)); }
void f16(Bytes block, float* out) { *out = half_at(block); }
void bf16(Bytes block, float* out) {
  std::uint16_t bits;
  std::memcpy(&bits, block, sizeof bits);
  *out = bf16_to_f32(bits);
}

// Element i of 32: the low halves of 16 bytes, then the high ones.
int nibble(Bytes bytes, int i) { return i < 16 ? bytes[i] & 0xf : bytes[i - 16] >> 4; }

// d, 32 x 8 bits
void q8_0(Bytes block, float* out) {
  const float d = half_at(block);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * d;
}

// d, 32 x 4 bits around 8
void q4_0(Bytes block, float* out) {
  const float d = half_at(block);
  for (int i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(nibble(block + 2, i) - 8);
}

// d, m, 32 x 4 bits
void q4_1(Bytes block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(nibble(block + 4, i)) + m;
}

// d, 32 fifth bits, 32 x 4 bits; around 16
void q5_0(Bytes block, float* out) {
  const float d = half_at(block);
  const std::uint32_t high = word_at(block + 2);
  for (int i = 0; i < kBlock; ++i)
    out[i] = d * static_cast<float>((nibble(block + 6, i) | static_cast<int>(high >> i & 1) << 4) - 16);
}

// d, m, 32 fifth bits, 32 x 4 bits
void q5_1(Bytes block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  const std::uint32_t high = word_at(block + 4);
  for (int i = 0; i < kBlock; ++i)
    out[i] = d * static_cast<float>(nibble(block + 8, i) | static_cast<int>(high >> i & 1) << 4) + m;
}

// Element i of 256 x 2 bits in 64 bytes: 32 bytes hold the lowest bits of 32 elements, then the next ones, ...
int pair_of_bits(Bytes bytes, int i) { return bytes[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3; }

// 16 x (4-bit scale, 4-bit minimum), 256 x 2 bits, d, dmin
void q2_k(Bytes block, float* out) {
  const float d = half_at(block + 80), dmin = half_at(block + 82);
  for (int i = 0; i < kSuper; ++i) {
    const int scale = block[i / 16];
    const float step = d * static_cast<float>(scale & 0xf), minimum = dmin * static_cast<float>(scale >> 4);
    out[i] = step * static_cast<float>(pair_of_bits(block + 16, i)) - minimum;
  }
}

// 256 third bits (cleared: minus 4), 256 x 2 bits, 16 x 6-bit scale around 32, d
void q3_k(Bytes block, float* out) {
  const Bytes scales = block + 96;
  const float d = half_at(block + 108);
  for (int i = 0; i < kSuper; ++i) {
    const int s = i / 16, low = s < 8 ? scales[s] & 0xf : scales[s - 8] >> 4,
              high = scales[8 + s % 4] >> s / 4 * 2 & 3;
    const float step = d * static_cast<float>((low | high << 4) - 32);
    const int cleared = ~(block[i % 32] >> i / 32) & 1;
    out[i] = step * static_cast<float>(pair_of_bits(block + 32, i) - 4 * cleared);
  }
}

struct ScaleAndMinimum {
  int scale, minimum;
};

// Number g of 8 x (6-bit scale, 6-bit minimum) in 12 bytes: the first four of each whole, the upper two bits of the
// others above them, their lower four in the last bytes.
ScaleAndMinimum scale_and_minimum(Bytes packed, int g) {
  if (g < 4) return {packed[g] & 0x3f, packed[4 + g] & 0x3f};
  return {(packed[4 + g] & 0xf) | (packed[g - 4] >> 2 & 0x30), packed[4 + g] >> 4 | (packed[g] >> 2 & 0x30)};
}

// d, dmin, 8 x (scale, minimum), [256 fifth bits,] 256 x 4 bits: the low halves of 32 bytes, the high ones, ...
template <bool kFifthBit>
void q4_or_q5_k(Bytes block, float* out) {
  const float d = half_at(block), dmin = half_at(block + 2);
  const Bytes high = block + 16, low = kFifthBit ? block + 48 : block + 16;
  for (int g = 0; g < 8; ++g) {
    const auto [scale, minimum] = scale_and_minimum(block + 4, g);
    const float step = d * static_cast<float>(scale), base = dmin * static_cast<float>(minimum);
    for (int i = 0; i < 32; ++i) {
      int q = low[g / 2 * 32 + i] >> g % 2 * 4 & 0xf;
      if (kFifthBit) q |= (high[i] >> g & 1) << 4;
      out[32 * g + i] = step * static_cast<float>(q) - base;
    }
  }
}

// 256 x 4 low bits, 256 x 2 high bits, 16 x 8-bit scale, d; around 32
void q6_k(Bytes block, float* out) {
  const Bytes low = block, high = block + 128, scales = block + 192;
  const float d = half_at(block + 208);
  for (int i = 0; i < kSuper; ++i) {
    const int half = i / 128, part = i % 128 / 32;
    const int q = (low[64 * half + 32 * (part % 2) + i % 32] >> part / 2 * 4 & 0xf) | pair_of_bits(high, i)
                                                                                          << 4;
    const float step = d * static_cast<float>(static_cast<std::int8_t>(scales[i / 16]));
    out[i] = step * static_cast<float>(q - 32);
  }
}

struct Reader {
  std::string_view name;
  void (*read)(Bytes block, float* out);
};
constexpr auto kReaders = std::to_array<Reader>({{"F32", f32},
                                                 {"F16", f16},
                                                 {"BF16", bf16},
                                                 {"Q8_0", q8_0},
                                                 {"Q4_0", q4_0},
                                                 {"Q4_1", q4_1},
                                                 {"Q5_0", q5_0},
                                                 {"Q5_1", q5_1},
                                                 {"Q2_K", q2_k},
                                                 {"Q3_K", q3_k},
                                                 {"Q4_K", q4_or_q5_k<false>},
                                                 {"Q5_K", q4_or_q5_k<true>},
                                                 {"Q6_K", q6_k}});

const Reader* reader_of(const GgufType& type) {
  const auto found = std::ranges::find(kReaders, type.name, &Reader::name);
  return found == kReaders.end() ? nullptr : &*found;
}

}  // namespace

bool can_dequantise(const GgufType& type) { return reader_of(type) != nullptr; }

void dequantise(const GgufType& type, std::span<const std::byte> blocks, std::span<float> to) {
  const Reader* reader = reader_of(type);
  const auto bytes = static_cast<std::size_t>(type.bytes), elements = static_cast<std::size_t>(type.elements);
  require(reader != nullptr && blocks.size() / bytes * elements == to.size() && blocks.size() % bytes == 0,
          "gguf: blocks of this type or number cannot be read");
  const auto* at = reinterpret_cast<Bytes>(blocks.data());
  for (float* out = to.data(); out != to.data() + to.size(); out += elements, at += bytes)
    reader->read(at, out);
}

}  // namespace evictbench
