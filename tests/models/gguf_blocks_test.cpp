#include "models/gguf_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace evictbench {
namespace {

using Blocks = std::vector<std::byte>;

// The types of ggml that we compute with; sizes as the format has them.
const std::map<std::string, GgufType> kTypes = {
    {"Q8_0", {8, "Q8_0", 32, 34}},    {"Q4_0", {2, "Q4_0", 32, 18}},    {"Q4_1", {3, "Q4_1", 32, 20}},
    {"Q5_0", {6, "Q5_0", 32, 22}},    {"Q5_1", {7, "Q5_1", 32, 24}},    {"Q2_K", {10, "Q2_K", 256, 84}},
    {"Q3_K", {11, "Q3_K", 256, 110}}, {"Q4_K", {12, "Q4_K", 256, 144}}, {"Q5_K", {13, "Q5_K", 256, 176}},
    {"Q6_K", {14, "Q6_K", 256, 210}}};

Blocks from_hex(const std::string& text) {
  Blocks out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}

// The generator of tests/oracles/gguf_blocks.py.
Blocks random_bytes(std::size_t count, std::uint64_t state) {
  Blocks out(count);
  for (std::byte& byte : out) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<std::byte>(state >> 56);
  }
  return out;
}

std::vector<float> elements(const GgufType& type, const Blocks& blocks) {
  std::vector<float> out(blocks.size() / static_cast<std::size_t>(type.bytes) *
                         static_cast<std::size_t>(type.elements));
  dequantise(type, blocks, out);
  return out;
}

std::string digest(const std::vector<float>& values) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const float value : values)
    hash = (hash ^ (std::isnan(value) ? 0x7fc00000U : std::bit_cast<std::uint32_t>(value))) * 0x100000001b3U;
  char text[17];
  std::snprintf(text, sizeof text, "%016lx", static_cast<unsigned long>(hash));
  return text;
}

class GgufBlocks : public testing::TestWithParam<std::string> {
 protected:
  const GgufType& type() const { return kTypes.at(GetParam()); }

  // The two words behind `kind TYPE` in the vectors that the Python package made.
  std::pair<std::string, std::string> expected(const std::string& kind) const {
    std::ifstream file(EVICTBENCH_SOURCE_DIR "/tests/models/gguf_blocks.txt");
    std::string a, b, c, d;
    while (file >> a >> b >> c >> d)
      if (a == kind && b == GetParam()) return {c, d};
    ADD_FAILURE() << "no " << kind << " of " << GetParam();
    return {};
  }
};

TEST_P(GgufBlocks, OneBlockIsAsPythonHasIt) {
  ASSERT_TRUE(can_dequantise(type()));
  const auto [block, values] = expected("values");
  const std::vector<float> found = elements(type(), from_hex(block));
  const Blocks bits = from_hex(values);
  ASSERT_EQ(bits.size(), found.size() * 4);
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::uint32_t want;
    std::memcpy(&want, bits.data() + 4 * i, 4);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(found[i]), want) << "element " << i;
  }
}

TEST_P(GgufBlocks, OddScalesAreAsPythonHasThem) {
  const auto [blocks, wanted] = expected("digest");
  EXPECT_EQ(digest(elements(type(), from_hex(blocks))), wanted);
}

TEST_P(GgufBlocks, RandomBlocksAreAsPythonHasThem) {
  static const std::vector<std::string> kOrder = {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                                  "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"};
  const auto seed = std::ranges::find(kOrder, GetParam()) - kOrder.begin();
  const auto [count, wanted] = expected("stream");
  const Blocks blocks = random_bytes(std::stoul(count) * static_cast<std::size_t>(type().bytes),
                                     static_cast<std::uint64_t>(seed));
  EXPECT_EQ(digest(elements(type(), blocks)), wanted);
}

INSTANTIATE_TEST_SUITE_P(Types, GgufBlocks,
                         testing::Values("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K",
                                         "Q5_K", "Q6_K"),
                         [](const auto& each) { return each.param; });

TEST(GgufBlocksTable, OthersAreNotRead) {
  for (const char* name : {"I8", "F64", "Q8_1", "Q8_K", "IQ4_NL", "TQ1_0", "MXFP4"})
    EXPECT_FALSE(can_dequantise({0, name, 32, 32})) << name;
}

}  // namespace
}  // namespace evictbench
