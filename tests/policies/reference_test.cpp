// h2o, tova, cake, headkv, compresskv, headcompresskv and adacompresskv against tests/oracles/policy_reference.py: float64 NumPy
// written from the methods' definitions. cases/*.txt holds what that keeps; tests/oracles/policy_cases.py says what a
// line is. The inputs are made here from the line's seed by the same generator.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/ops.h"
#include "policies/registry.h"
#include "tests/support/fixtures.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

enum Stream : std::uint64_t { kQueries = 1, kKeys, kFirst, kSecond, kThird, kHeads, kLayers };

struct Case {
  std::string kind, rule, options, kept;
  KvShape shape;
  std::uint64_t seed = 0, levels = 0;
  double entries = 0;
  int scale = 0, trials = 0, layer_scores = 0;

  std::uint64_t drawn(Stream stream, std::size_t i) const {
    std::uint64_t x = seed * 0x9E3779B97F4A7C15u + stream * 0xC2B2AE3D27D4EB4Fu + i * 0xD6E8FEB86659FD93u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }
  float eighth(Stream stream, std::size_t i) const {
    return (static_cast<float>(drawn(stream, i) % 33) - 16) / 8;
  }
  Tensor table(Stream stream, int factor) const {  // [L, H, T]
    Tensor out(host(), DType::kF32, {shape.layers, shape.q_heads, shape.tokens});
    for (std::size_t i = 0; i < out.size(); ++i)
      out.data<float>()[i] = static_cast<float>(static_cast<int>(drawn(stream, i) % levels) * factor);
    return out;
  }
};

std::istream& operator>>(std::istream& in, Case& c) {
  KvShape& s = c.shape;
  return in >> c.kind >> s.layers >> s.q_heads >> s.kv_heads >> s.head_dim >> s.tokens >> c.seed >> c.rule >>
         c.entries >> c.scale >> c.levels >> c.trials >> c.layer_scores >> c.options >> c.kept;
}

// Queries and keys as a prefill leaves them, newest query first, with the log-sums of the product's own attention.
Observation::Parts computed(const Case& c, const Needs& needs) {
  const KvShape& s = c.shape;
  const auto L = s.layers, H = s.q_heads, G = s.kv_heads, D = s.head_dim, T = s.tokens;
  Observation::Parts parts = random_parts(s, {}, 1);
  const auto at = [&](int layer, int head, int heads, int t, int d) {
    return static_cast<std::size_t>(((layer * heads + head) * T + t) * D + d);
  };
  for (int lane = 0; lane < L * G; ++lane)
    for (int t = 0; t < T; ++t)
      for (int d = 0; d < D; ++d)
        parts.cache.lane_keys<float>(lane)[key_index(t, D, d)] =
            c.eighth(kKeys, at(lane / G, lane % G, G, t, d));
  Tensor sums = Tensor::zeros(host(), DType::kF32, {L, H, T});
  parts.queries = Tensor(host(), DType::kF32, {L, H, T, D});
  parts.log_sums = Tensor(host(), DType::kF32, {L, H, T});
  for (int layer = 0; layer < L; ++layer) {
    Tensor queries(host(), DType::kF32, {T, H, D}), mixed(host(), DType::kF32, {T, H, D}),
        log_sums(host(), DType::kF32, {T, H});
    for (int t = 0; t < T; ++t)
      for (int h = 0; h < H; ++h)
        for (int d = 0; d < D; ++d)
          queries.row<float>(t * H + h)[d] = parts.queries.row<float>((layer * H + h) * T + T - 1 - t)[d] =
              c.eighth(kQueries, at(layer, h, H, t, d));
    std::vector<AttendTask> tasks;
    for (int g = 0; g < G; ++g) {
      const int lane = layer * G + g;
      const Run run{parts.cache.lane_keys(lane),
                    parts.cache.lane_values(lane),
                    parts.positions[0].data(),
                    nullptr,
                    nullptr,
                    T};
      tasks.push_back({{run, {}}, 0, T, g * s.group(), s.group(), 0});
    }
    host().ops().attend(host(), tasks, queries, mixed, log_sums);
    host().ops().add_column_sums(host(), parts.cache, layer, {}, queries, log_sums, 0, sums);
    for (int h = 0; h < H; ++h)
      for (int t = 0; t < T; ++t)
        parts.log_sums.row<float>(layer * H + h)[T - 1 - t] = log_sums.row<float>(t)[h];
  }
  if (needs.stats[0].kind == Stat::kColumnSums) parts.given.emplace(needs.stats[0], std::move(sums));
  return parts;
}

Observation::Parts given(const Case& c, const Needs& needs) {
  Observation::Parts parts = random_parts(c.shape, {}, 1);
  for (const Stat& stat : needs.stats)
    parts.given.emplace(stat, stat.reduction == Reduction::kVariance
                                  ? c.table(kSecond, c.scale * c.shape.q_heads)
                              : stat.reduction == Reduction::kEntropy ? c.table(kThird, c.shape.q_heads)
                                                                      : c.table(kFirst, c.scale));
  return parts;
}

std::string head_file(const Case& c) {
  const auto H = static_cast<std::size_t>(c.shape.q_heads), trials = static_cast<std::size_t>(c.trials);
  std::string text;
  const auto list = [&](const std::string& key, const std::vector<std::uint64_t>& values) {
    text += (text.empty() ? "{\"" : ", \"") + key + "\": [";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i ? ", " : "") + std::to_string(values[i]);
    text += "]";
  };
  for (std::size_t l = 0; l < static_cast<std::size_t>(c.shape.layers); ++l) {
    std::vector<std::uint64_t> order(H);
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::sort(order, {}, [&](std::size_t h) { return c.drawn(kHeads, l * H + h); });
    if (trials == 0) list(std::to_string(l), order);
    for (std::size_t h = 0; trials > 0 && h < H; ++h) {
      std::vector<std::uint64_t> scores;
      for (std::size_t r = 0; r < trials; ++r)
        scores.push_back(c.drawn(kHeads, (l * H + h) * trials + r) % 10);
      list(std::to_string(l) + "-" + std::to_string(h), scores);
    }
  }
  return text + "}";
}

std::string layer_file(const Case& c) {
  std::string text = "{\"avg_score\": [";
  for (std::size_t l = 0; l < static_cast<std::size_t>(c.shape.layers); ++l)
    text += (l ? ", " : "") + std::to_string(c.drawn(kLayers, l) % 10);
  return text + "]}";
}

std::string masks(const Selection& kept, int T) {
  std::string text;
  for (int i = 0; i < kept.lanes(); ++i) {
    std::vector<int> digits(static_cast<std::size_t>(T + 3) / 4);
    for (const std::int32_t slot : kept.lane(i)) digits[static_cast<std::size_t>(slot) / 4] |= 1 << slot % 4;
    if (i > 0) text += ',';
    for (const int digit : digits) text += "0123456789abcdef"[digit];
  }
  return text;
}

void expect_the_reference_keeps_the_same(const std::string& policy) {
  const TempFolder folder;
  std::ifstream in(EVICTBENCH_SOURCE_DIR "/tests/policies/cases/" + policy + ".txt");
  int cases = 0, wrong = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    Case c;
    std::istringstream fields(line);
    ASSERT_TRUE(fields >> c) << line;
    std::string options = c.options == "-" ? "" : c.options;
    const bool layered = policy == "compresskv" || policy == "adacompresskv";
    if (policy.starts_with("head") || layered)
      options += ",head_scores=" + folder.write("heads.json", head_file(c));
    if (layered && c.layer_scores) options += ",layer_scores=" + folder.write("layers.json", layer_file(c));
    const auto made = make_policy(policy + "{" + options + "}");
    const Needs needs = made->needs(c.shape);
    const Observation seen(c.kind == "qk" ? computed(c, needs) : given(c, needs));
    const Budget budget{c.entries, c.rule == "exact" ? Budget::Rule::kExact : Budget::Rule::kPublished};
    const Selection kept = made->select(seen, std::span(&budget, 1))[0].selection;
    ++cases;
    if (masks(kept, c.shape.tokens) != c.kept && ++wrong <= 5)
      ADD_FAILURE() << line << "\n  here: " << masks(kept, c.shape.tokens);
  }
  EXPECT_GE(cases, 500);
  EXPECT_EQ(wrong, 0) << "of " << cases;
}

TEST(Reference, H2o) { expect_the_reference_keeps_the_same("h2o"); }
TEST(Reference, Tova) { expect_the_reference_keeps_the_same("tova"); }
TEST(Reference, Cake) { expect_the_reference_keeps_the_same("cake"); }
TEST(Reference, HeadKv) { expect_the_reference_keeps_the_same("headkv"); }
TEST(Reference, CompressKv) { expect_the_reference_keeps_the_same("compresskv"); }
TEST(Reference, HeadCompressKv) { expect_the_reference_keeps_the_same("headcompresskv"); }
TEST(Reference, AdaCompressKv) { expect_the_reference_keeps_the_same("adacompresskv"); }

}  // namespace
}  // namespace evictbench
