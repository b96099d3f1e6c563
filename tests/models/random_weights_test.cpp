// Weights that are drawn rather than read.
#include "models/random_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/fixtures.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using Json = nlohmann::json;

Json tiny() {
  return {{"model_type", "llama"},
          {"hidden_size", 24},
          {"intermediate_size", 40},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"vocab_size", 262},
          {"max_position_embeddings", 4096},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"torch_dtype", "bfloat16"}};
}

class RandomWeightsTest : public testing::Test {
 protected:
  RandomModel model(const Json& changes = Json::object(), std::uint64_t seed = 1) const {
    Json config = tiny();
    config.update(changes);
    return RandomModel(folder_.write("config.json", config.dump()), seed);
  }
  TempFolder folder_;
};

constexpr const char* kQuery = "model.layers.1.self_attn.q_proj.weight";

// Worked out in Python, with splitmix64 written there again and the package xxhash.
TEST_F(RandomWeightsTest, AreTheSameEverywhere) {
  const std::vector<float> all = model({{"torch_dtype", "float32"}}).weights()->load(kQuery).widened();
  const float first[] = {0x1.c76158p-3f, 0x1.5369f2p-4f, -0x1.86537p-3f, 0x1.5369f2p-3f};
  for (std::size_t i = 0; i < std::size(first); ++i) EXPECT_EQ(all[i], first[i]) << i;
  EXPECT_EQ(all.back(), 0x1.79991p-2f);
}

TEST_F(RandomWeightsTest, DependOnSeedAndName) {
  const Weight one = model().weights()->load(kQuery);
  EXPECT_NE(one.bytes, model(Json::object(), 2).weights()->load(kQuery).bytes);
  EXPECT_NE(one.bytes, model().weights()->load("model.layers.0.self_attn.q_proj.weight").bytes);
  EXPECT_EQ(one.shape, (std::vector<int>{32, 24}));
}

// Rows in any pieces, by several threads, of odd and even widths.
TEST_F(RandomWeightsTest, AreTheSameInPieces) {
  for (const int width : {24, 25})
    for (const char* dtype : {"float32", "float16", "bfloat16"}) {
      const auto source = model({{"hidden_size", width}, {"torch_dtype", dtype}}).weights();
      const Weight whole = source->load(kQuery);
      const WeightRowReader reader = source->rows(kQuery);
      ASSERT_EQ(reader.rows, 32);
      ASSERT_EQ(reader.columns, width);
      std::vector<std::byte> pieces(whole.bytes.size());
      const std::size_t row = whole.bytes.size() / 32;
      std::vector<std::thread> threads;
      for (const auto& [first, count] : {std::pair{13, 19}, {0, 1}, {1, 12}})
        threads.emplace_back([&, first = first, count = count] {
          reader.read(first, std::span(pieces).subspan(static_cast<std::size_t>(first) * row,
                                                       static_cast<std::size_t>(count) * row));
        });
      for (std::thread& thread : threads) thread.join();
      EXPECT_EQ(pieces, whole.bytes) << width << " " << dtype;
    }
}

struct Moments {
  double mean = 0, deviation = 0, kurtosis = 0;
};

Moments moments_of(const std::vector<float>& all) {
  Moments m;
  const auto n = static_cast<double>(all.size());
  for (const float x : all) m.mean += x / n;
  double second = 0, fourth = 0;
  for (const float x : all) {
    second += std::pow(x - m.mean, 2) / n;
    fourth += std::pow(x - m.mean, 4) / n;
  }
  m.deviation = std::sqrt(second);
  m.kurtosis = fourth / (second * second);
  return m;
}

// Four uniform numbers added up have the kurtosis 3 - 1.2 / 4.
TEST_F(RandomWeightsTest, AreNearlyNormalAndKeepTheSizeOfActivations) {
  for (const char* dtype : {"float32", "float16", "bfloat16"}) {
    const auto source = model({{"hidden_size", 400}, {"torch_dtype", dtype}}).weights();
    const Moments m = moments_of(source->load("model.embed_tokens.weight").widened());  // 104,800
    EXPECT_NEAR(m.mean, 0, 0.05 * 0.01) << dtype;
    EXPECT_NEAR(m.deviation, 0.05, 0.05 * 0.01) << dtype;
    EXPECT_NEAR(m.kurtosis, 2.7, 0.05) << dtype;
  }
}

// Columns and rows of a matrix do not go along with each other.
TEST_F(RandomWeightsTest, HaveNoPattern) {
  const Weight weight = model({{"hidden_size", 400}}).weights()->load("model.embed_tokens.weight");
  const std::vector<float> all = weight.widened();
  for (const std::size_t step : {1u, 2u, 400u, 800u}) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i + step < all.size(); ++i) sum += all[i] * all[i + step];
    for (const float x : all) squares += x * x;
    EXPECT_LT(std::abs(sum / squares), 0.015) << step;
  }
}

// f16 is f32 rounded to nearest: no f16 lies nearer.
TEST_F(RandomWeightsTest, RoundToF16) {
  const std::vector<float> exact = model({{"torch_dtype", "float32"}}).weights()->load(kQuery).widened(),
                           rounded = model({{"torch_dtype", "float16"}}).weights()->load(kQuery).widened();
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const float size = std::max(std::abs(exact[i]), 0x1p-14f);
    const float unit = std::ldexp(1.0f, std::ilogb(size) - 10);
    EXPECT_LE(std::abs(exact[i] - rounded[i]), unit / 2) << exact[i];
  }
}

TEST_F(RandomWeightsTest, NormsAreOneAndBiasesNone) {
  const auto source = model({{"attention_bias", true}}).weights();
  for (const float x : source->load("model.norm.weight").widened()) EXPECT_EQ(x, 1);
  for (const float x : source->load("model.layers.0.self_attn.k_proj.bias").widened()) EXPECT_EQ(x, 0);
}

// Every family of the catalogue: its goldens' configs make a decoder that gives numbers.
TEST_F(RandomWeightsTest, MakeADecoderOfEveryFamily) {
  int tried = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(EVICTBENCH_SOURCE_DIR "/tests/models/goldens")) {
    const std::string config = entry.path() / "config.json";
    if (!std::filesystem::exists(config)) continue;
    const RandomModel random(config, 3);
    const auto decoder = random.load(host());
    const Tokens prompt{1, 2, 3};
    for (const float x : decoder->prefill(host(), prompt, {})->last_logits) ASSERT_TRUE(std::isfinite(x));
    ++tried;
  }
  EXPECT_GT(tried, 10);
}

// The reference reads the same weights: their logits agree.
TEST_F(RandomWeightsTest, AreTheReferencesToo) {
  const RandomModel random = model({{"tie_word_embeddings", false}});
  const Tokens prompt{5, 200, 17, 3};
  const auto decoder = random.load(host()), reference = random.load_reference();
  const auto got = decoder->prefill(host(), prompt, {})->last_logits,
             want = reference->prefill(host(), prompt, {})->last_logits;
  ASSERT_EQ(got.size(), 262u);
  double largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], 1e-4);
    largest = std::max<double>(largest, std::abs(want[i]));
  }
  EXPECT_GT(largest, 1);  // random, but no noise near zero
  EXPECT_LT(largest, 10);
}

TEST_F(RandomWeightsTest, CountsByHand) {
  // Embedding, final norm; a layer: two norms, q 32, k and v 16 rows, o, gate, up and down.
  const std::int64_t matrices = 262 * 24 + 2 * (24 * (32 + 16 + 16) + 24 * 32 + 3 * 24 * 40),
                     vectors = 24 + 2 * (24 + 24);
  EXPECT_EQ(model().parameters(), matrices + vectors);
  EXPECT_EQ(model().packed_bytes(), 2 * matrices + 4 * vectors);
  EXPECT_EQ(model({{"torch_dtype", "float16"}}).packed_bytes(), 2 * matrices + 4 * vectors);
  EXPECT_EQ(model({{"torch_dtype", "float32"}}).packed_bytes(), 4 * (matrices + vectors));
  EXPECT_EQ(model({{"torch_dtype", "float32"}}).packed_bytes(DType::kBF16), 2 * matrices + 4 * vectors);
  EXPECT_EQ(model({{"tie_word_embeddings", false}}).parameters(), matrices + vectors + 262 * 24);
}

// Published: 8,030,261,248 parameters.
TEST_F(RandomWeightsTest, ShapeFilesAreWhatTheyAreCalled) {
  const RandomModel llama(EVICTBENCH_SOURCE_DIR "/harness/shapes/llama-3.1-8b.json", 1);
  EXPECT_EQ(llama.parameters(), 8'030'261'248u);
  EXPECT_EQ(llama.dtype(), DType::kBF16);
  EXPECT_EQ(llama.config().context(), 131072);
  const RandomModel small(EVICTBENCH_SOURCE_DIR "/harness/shapes/125m.json", 1);
  EXPECT_NEAR(static_cast<double>(small.parameters()), 125e6, 10e6);
}

TEST_F(RandomWeightsTest, RefusesWhatIsNoConfig) {
  expect_refusal([&] { model({{"model_type", "mamba"}}); }, "E-CF-02", "mamba");
  expect_refusal([&] { RandomModel(folder_ / "absent.json", 1); }, "E-CF-F01", "absent.json");
  expect_refusal([&] { RandomModel(folder_.path(), 1); }, "E-CF-F03", "folder");
  expect_refusal([&] { RandomModel(folder_.write("x.json", "{"), 1); }, "E-CF-J01", "x.json");
  expect_refusal(
      [&] {
        model({{"num_hidden_layers", 65536}, {"num_attention_heads", 65536}});
      },
      "E-CF-22", "65536 layers of 65536 heads");
}

// Sizes beyond 64 bits are counted without wrapping round.
TEST_F(RandomWeightsTest, CountsWhatNoMemoryHolds) {
  const RandomModel huge = model({{"num_hidden_layers", 65536},
                                  {"hidden_size", 1 << 20},
                                  {"intermediate_size", 1 << 24},
                                  {"num_attention_heads", 16384},
                                  {"num_key_value_heads", 16384},
                                  {"head_dim", 4096}});
  EXPECT_EQ(huge.packed_bytes(), std::uint64_t{1} << 62);
}

}  // namespace
}  // namespace evictbench
