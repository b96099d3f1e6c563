#pragma once

#include <bit>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// Protobuf, by hand.
inline std::string proto_varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
inline std::string proto_number(std::uint32_t field, std::int64_t value) {
  return proto_varint(field << 3) + proto_varint(static_cast<std::uint64_t>(value));
}
inline std::string proto_bytes(std::uint32_t field, std::string_view bytes) {
  return proto_varint(field << 3 | 2) + proto_varint(bytes.size()) + std::string(bytes);
}
inline std::string little_endian(std::uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}
inline std::string proto_float(std::uint32_t field, float value) {
  return proto_varint(field << 3 | 5) + little_endian(std::bit_cast<std::uint32_t>(value));
}

// A small tokenizer.model over the letters a and b, and what tests change of it.
struct SentencePieceFile {
  struct Piece {
    std::string text;
    float score;
    int type;
  };
  std::vector<Piece> pieces = {{"<unk>", 0, 2},   {"<s>", 0, 3},       {"</s>", 0, 3},
                               {"\u2581", -9, 1}, {"a", -9, 1},        {"b", -9, 1},
                               {"ab", -1, 1},     {"\u2581ab", -2, 1}, {"abab", -3, 1}};
  std::map<std::uint32_t, std::int64_t> trainer = {{3, 2}, {40, 0}, {41, 1}, {42, 2}, {43, -1}};  // 3: BPE
  std::string charsmap;
  bool dummy_prefix = true, remove_extra = false;
  std::string tail;  // after everything else

  SentencePieceFile& with_bytes() {
    for (unsigned b = 0; b < 256; ++b) {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      pieces.push_back({std::string("<0x") + kDigits[b / 16] + kDigits[b % 16] + ">", 0, 6});
    }
    trainer[35] = 1;
    return *this;
  }

  static std::string piece(const Piece& p) {
    return proto_bytes(1, proto_bytes(1, p.text) + proto_float(2, p.score) + proto_number(3, p.type));
  }

  std::string bytes() const {
    std::string out, settings;
    for (const Piece& each : pieces) out += piece(each);
    for (const auto& [field, value] : trainer) settings += proto_number(field, value);
    std::string normalizer = proto_bytes(1, "identity");
    if (!charsmap.empty()) normalizer += proto_bytes(2, charsmap);
    normalizer += proto_number(3, dummy_prefix ? 1 : 0) + proto_number(4, remove_extra ? 1 : 0);
    return out + proto_bytes(2, settings) + proto_bytes(3, normalizer) + tail;
  }
};

// A precompiled_charsmap with one rule, a -> b, and the double array of it for tests to damage.
struct CharsMap {
  std::vector<std::uint32_t> units;
  std::string replacements = std::string("b\0", 2);
  CharsMap() : units(512) {
    units[0] = 256U << 10;                        // children of the root: from unit 256 on
    units[256 ^ 'a'] = 'a' | 1U << 8 | 1U << 10;  // a leaf hangs one unit away
    units[256 ^ 'a' ^ 1] = 1U << 31 | 0;          // replacement 0
  }
  std::string bytes() const {
    std::string out = little_endian(static_cast<std::uint32_t>(4 * units.size()));
    for (const std::uint32_t unit : units) out += little_endian(unit);
    return out + replacements;
  }
};

}  // namespace evictbench
