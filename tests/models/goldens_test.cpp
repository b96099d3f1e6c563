// Tiny checkpoints of every family against what transformers computed with them (tests/models/goldens/README.md).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>

#include "core/ragged_cache.h"
#include "models/checkpoint.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden.h"

namespace evictbench {
namespace {

constexpr double kTolerance = 5e-5;           // of sigma, in f32
constexpr double kReferenceTolerance = 2e-6;  // of sigma, in float64: what rotary tables in f32 leave

class Goldens : public testing::TestWithParam<std::string> {
 protected:
  const Golden golden_ = read_golden(GetParam());
  const Checkpoint checkpoint_{golden_.folder};

  // Logits of the stored rows within `tolerance` sigma, the best id of every row.
  void expect_logits(const Model& model, double tolerance) {
    LogitError error;
    for (const Golden::Prompt& prompt : golden_.prompts) {
      const auto logits = prefill_all(host(), model, prompt.ids).logits;
      ASSERT_EQ(logits.size(), prompt.ids.size() * static_cast<std::size_t>(golden_.vocabulary));
      error.add(prompt, logits, golden_.vocabulary);
      for (std::size_t t = 0; t < prompt.ids.size(); ++t)
        EXPECT_EQ(best_of(row_of(logits, t, golden_.vocabulary)), prompt.best_ids[t])
            << "position " << t << " of " << prompt.ids.size();
    }
    const double worst = error.worst / golden_.sigma;
    EXPECT_LE(worst, tolerance);
    EXPECT_LE(error.squares, 1e-10 * error.power);
    RecordProperty("worst_sigma", fmt::format("{:.2e}", worst));
    fmt::print("{}: worst difference {:.2e} sigma\n", golden_.name, worst);
  }

  static RaggedCache full_cache(std::shared_ptr<const Snapshot> snapshot, int room, std::size_t points = 1) {
    const KvShape shape = snapshot->shape();
    const std::vector<Kept> everything(
        points, {Selection::everything(shape.layers, shape.kv_heads, shape.tokens), {}, {}});
    return {std::move(snapshot), everything, shape.tokens, room};
  }

  // -> logits of every row fed, [N, V]
  static std::vector<float> extend_all(const Model& model, RaggedCache& cache,
                                       const std::vector<Tokens>& fed) {
    std::vector<float> logits;
    PassOptions options;
    options.all_logits = [&](int, const Tensor& rows) {  // in pieces
      const auto piece = rows.to_host<float>();
      logits.insert(logits.end(), piece.begin(), piece.end());
    };
    model.extend(host(), cache, fed, options);
    return logits;
  }
};

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Goldens, testing::ValuesIn(golden_names()), test_name);

TEST(GoldensFolder, HoldsEveryFamily) {
  std::map<std::string, int> families;
  for (const std::string& name : golden_names()) ++families[name.substr(0, name.find('-'))];
  for (const char* family : {"gemma2", "gemma3", "gpt2", "llama", "mistral", "phi3", "qwen2", "qwen3"})
    EXPECT_GE(families[family], 4) << family;
}

TEST_P(Goldens, PrefillGivesTheLogitsOfTransformers) { expect_logits(*checkpoint_.load(host()), kTolerance); }

TEST_P(Goldens, TheReferenceGivesTheLogitsOfTransformers) {
  expect_logits(*checkpoint_.load_reference(), kReferenceTolerance);
}

TEST_P(Goldens, GreedyTokensAreThoseOfTransformers) {
  const auto model = checkpoint_.load(host());
  for (const Golden::Greedy& greedy : golden_.greedy) {
    const auto snapshot = model->prefill(host(), golden_.prompts[greedy.prompt].ids, {});
    RaggedCache cache = full_cache(snapshot, static_cast<int>(greedy.ids.size()));
    Tokens ids{best_of(snapshot->last_logits)};
    while (ids.size() < greedy.ids.size()) {
      const Tokens fed{ids.back()};
      ids.push_back(best_of(model->extend(host(), cache, std::span(&fed, 1)).to_host<float>()));
    }
    EXPECT_EQ(ids, greedy.ids);
  }
}

// A prompt in one pass, and its first token followed by all others in one pass: the frequencies of both are those of the
// last position. (The first token stands at position 0, where nothing turns.)
TEST_P(Goldens, ExtendGivesTheBitsOfPrefill) {
  const auto model = checkpoint_.load(host());
  const Tokens& ids = golden_.prompts.back().ids;
  const auto whole = prefill_all(host(), *model, ids).logits;
  RaggedCache cache =
      full_cache(model->prefill(host(), std::span(ids).first(1), {}), static_cast<int>(ids.size()) - 1);
  const auto rest = extend_all(*model, cache, {Tokens(ids.begin() + 1, ids.end())});
  ASSERT_EQ(rest.size() + static_cast<std::size_t>(golden_.vocabulary), whole.size());
  EXPECT_EQ(std::memcmp(rest.data(), whole.data() + golden_.vocabulary, rest.size() * sizeof(float)), 0);
}

// Two points of one batch, one far ahead of the other: each has the frequencies of its own last position.
TEST_P(Goldens, PointsOfABatchGiveTheBitsOfEachAlone) {
  const auto model = checkpoint_.load(host());
  const Tokens& ids = golden_.prompts.back().ids;
  const Tokens far(ids.begin() + 1, ids.end() - 3), last(ids.end() - 3, ids.end()),
      near(ids.begin() + 1, ids.begin() + 6);
  const auto first = model->prefill(host(), std::span(ids).first(1), {});
  const int room = static_cast<int>(ids.size()) - 1;
  RaggedCache ahead = full_cache(first, room), behind = full_cache(first, room),
              both = full_cache(first, room, 2);
  extend_all(*model, ahead, {far});
  auto alone = extend_all(*model, ahead, {last});
  const auto other = extend_all(*model, behind, {near});
  alone.insert(alone.end(), other.begin(), other.end());
  extend_all(*model, both, {far, {}});
  const auto together = extend_all(*model, both, {last, near});
  ASSERT_EQ(together.size(), alone.size());
  EXPECT_EQ(std::memcmp(together.data(), alone.data(), alone.size() * sizeof(float)), 0);
}

// Token by token, as far as a prompt is inside the original context: the frequencies of every pass are the same.
TEST_P(Goldens, TokenByTokenGivesTheBitsOfPrefill) {
  const auto model = checkpoint_.load(host());
  const Tokens& ids = golden_.prompts[2].ids;
  const auto whole = prefill_all(host(), *model, ids).logits;
  RaggedCache cache =
      full_cache(model->prefill(host(), std::span(ids).first(1), {}), static_cast<int>(ids.size()) - 1);
  for (std::size_t t = 1; t < ids.size(); ++t) {
    const Tokens fed{ids[t]};
    const auto logits = model->extend(host(), cache, std::span(&fed, 1)).to_host<float>();
    const auto want = row_of(whole, t, golden_.vocabulary);
    ASSERT_EQ(std::memcmp(logits.data(), want.data(), want.size_bytes()), 0) << "position " << t;
  }
}

// The ids that end an answer are those of generation_config.json, else of config.json.
TEST_P(Goldens, EndTokensAreThoseOfTheFiles) {
  Tokens ids;
  for (const char* name : {"/config.json", "/generation_config.json"})
    if (std::ifstream file(golden_.folder + name); file) {
      const auto eos = nlohmann::json::parse(file).at("eos_token_id");
      ids = eos.is_array() ? eos.get<Tokens>() : Tokens{eos.get<std::int32_t>()};
    }
  EXPECT_EQ(checkpoint_.config().eos_tokens, ids);
}

std::vector<double> log_softmax(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - top);
  std::vector<double> out;
  for (const float l : logits) out.push_back(static_cast<double>(l) - top - std::log(sum));
  return out;
}

// Products of bf16 pairs: not worse than plain torch in bf16 by more than the rule allows.
TEST_P(Goldens, Bf16ProductsAreAsGoodAsTorch) {
  if (!golden_.half || golden_.half->dtype != "bfloat16") GTEST_SKIP() << "weights not stored in bf16";
  std::optional<CpuDevice> device;
  try {
    device.emplace(0, "", CpuDevice::Products::kBf16Dot);
  } catch (const Error& error) {
    GTEST_SKIP() << "no bf16 products on this machine";
  }
  const auto model = checkpoint_.load(*device);
  double most = 0, sum = 0, kl = 0;
  std::size_t rows = 0;
  for (const Golden::Prompt& prompt : golden_.prompts) {
    const auto logits = prefill_all(*device, *model, prompt.ids).logits;
    for (std::size_t i = 0; i < prompt.positions.size(); ++i, ++rows) {
      const auto want = row_of(prompt.logits, i, golden_.vocabulary),
                 have = row_of(logits, static_cast<std::size_t>(prompt.positions[i]), golden_.vocabulary);
      const auto p = log_softmax(want), q = log_softmax(have);
      for (std::size_t v = 0; v < want.size(); ++v) {
        const double error = std::abs(static_cast<double>(want[v]) - static_cast<double>(have[v]));
        most = std::max(most, error);
        sum += error;
        kl += std::exp(p[v]) * (p[v] - q[v]);
      }
    }
  }
  const double count = static_cast<double>(rows);
  const double mean = sum / count / golden_.vocabulary;
  fmt::print("{}: max {:.2e} of torch's {:.2e}, mean {:.2e} of {:.2e}, KL {:.1e} of {:.1e}\n", golden_.name,
             most, golden_.half->most, mean, golden_.half->mean, kl / count, golden_.half->kl_mean);
  EXPECT_LE(most, 2 * golden_.half->most + 1e-5);
  EXPECT_LE(mean, 1.5 * golden_.half->mean + 1e-5);
  EXPECT_LE(kl / count, 2 * golden_.half->kl_mean + 1e-9);
}

}  // namespace
}  // namespace evictbench
