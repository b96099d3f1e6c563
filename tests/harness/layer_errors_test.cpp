// Layer error scores: the formula by hand, the second selection of a tap against a dense computation, and the sums of a
// whole answer against the same answer taken apart.
#include "harness/layer_errors.h"

#include <gtest/gtest.h>

#include "models/checkpoint.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/calibration_files.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden.h"
#include "tests/support/random_decoder.h"

namespace evictbench {
namespace {

const RandomShape kShape{.layers = 3, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .hidden = 24};

const Decoder& model() {
  static const Decoder decoder(host(), config_of(kShape), usual_names(config_of(kShape)),
                               RandomWeights(kShape, 5));
  return decoder;
}

const Policy& compresskv() {
  static const TempFolder folder;
  static const auto policy = make_policy(
      "compresskv", {{"head_scores", folder.write("heads.json", some_head_scores(3, 4))}, {"heads", "2"}});
  return *policy;
}

Kept everything(const KvShape& s) { return {Selection::everything(s.layers, s.kv_heads, s.tokens), {}, {}}; }

struct Outputs {
  std::vector<std::vector<float>> first, second;  // [passes * L][N * C]
  std::vector<float> logits;                      // of the last pass
};

// Feeds `passes` to the first of two caches and hears both outputs of every layer.
Outputs outputs_of(const std::shared_ptr<const Snapshot>& snapshot, const Kept& second, int from,
                   const std::vector<Tokens>& passes, const Model& m = model()) {
  RaggedCache cache(snapshot, std::vector<Kept>{everything(snapshot->shape()), second}, from, 8);
  Outputs out;
  const AttentionTap tap{.row = {}, .queries = {}, .outputs = [&](int, const Tensor& a, const Tensor& b) {
                           out.first.push_back(a.to_host<float>());
                           out.second.push_back(b.to_host<float>());
                         }};
  for (const Tokens& pass : passes)
    out.logits = m.extend(host(), cache, std::vector<Tokens>{pass, {}},
                          {.tap = &tap, .all_logits = {}, .checkpoint = {}})
                     .to_host<float>();
  return out;
}

TEST(OutputError, IsTheExampleOfTheSpecification) {
  const std::vector<float> full{3, 4}, kept{3, 3};
  EXPECT_DOUBLE_EQ(output_error(kept, full), 1 / (5 + 1e-5));
  EXPECT_NEAR(output_error(kept, full), 0.1999996, 1e-7);
  EXPECT_EQ(output_error(full, full), 0);
}

TEST(OutputError, IsLargeWhereNothingIsLeftToComeNear) {
  EXPECT_DOUBLE_EQ(output_error(std::vector<float>{1e-5f, 0}, std::vector<float>{0, 0}),
                   double{1e-5f} / 1e-5);
}

TEST(SecondSelection, OfEverythingGivesTheSameBits) {
  const auto snapshot = model().prefill(host(), some_tokens(50), {});
  const Outputs out = outputs_of(snapshot, everything(snapshot->shape()), 50, {{17}, {3, 200, 9}, {1}});
  ASSERT_EQ(out.first.size(), 9u);
  EXPECT_EQ(out.first, out.second);
}

TEST(SecondSelection, OfEverythingGivesTheSameBitsInEveryFamily) {
  for (const std::string& name : golden_names()) {
    SCOPED_TRACE(name);
    const Golden golden = read_golden(name);
    const Checkpoint checkpoint(golden.folder);
    const auto m = checkpoint.load(host());
    const Golden::Greedy& greedy = golden.greedy.at(0);
    const Tokens& prompt = golden.prompts[greedy.prompt].ids;
    const auto snapshot = m->prefill(host(), prompt, {});
    const Outputs out = outputs_of(snapshot, everything(snapshot->shape()), static_cast<int>(prompt.size()),
                                   {{greedy.ids.at(0)}, {greedy.ids.at(1)}}, *m);
    EXPECT_EQ(out.first.size(), static_cast<std::size_t>(2 * checkpoint.config().layers));
    EXPECT_EQ(out.first, out.second);
    const auto best = std::ranges::max_element(out.logits) - out.logits.begin();
    EXPECT_EQ(best, greedy.ids.at(2)) << "the pass is that of the full cache";
  }
}

TEST(SecondSelection, DoesNotTouchThePass) {
  const auto snapshot = model().prefill(host(), some_tokens(50), {});
  const Kept few{Selection::everything(3, 2, 4), {}, {}};
  const Outputs out = outputs_of(snapshot, few, 50, {{17}, {3}});
  const Kept all = everything(snapshot->shape());
  RaggedCache alone(snapshot, std::span(&all, 1), 50, 8);
  model().extend(host(), alone, std::vector<Tokens>{{17}});
  EXPECT_EQ(out.logits, model().extend(host(), alone, std::vector<Tokens>{{3}}).to_host<float>());
  EXPECT_NE(out.first, out.second);
}

// The first layer's input does not depend on attention: its output over a selection is that of a model which has only
// ever cached the selection, at its own positions.
TEST(SecondSelection, IsTheOutputOverThatSelection) {
  const auto snapshot = model().prefill(host(), some_tokens(60), {});
  Selection selection(3, 2);
  const std::vector<std::vector<std::int32_t>> lanes{{0, 5, 33}, {59}, {1, 2}, {7, 8, 9}, {0}, {4, 58}};
  for (const auto& lane : lanes) selection.push_lane(lane);
  const Kept kept{selection, {}, {}};
  const Outputs seen = outputs_of(snapshot, kept, 60, {{17}, {40}});

  RaggedCache alone(snapshot, std::vector<Kept>{kept, kept}, 60, 8);
  std::vector<std::vector<float>> direct;
  const AttentionTap tap{.row = {}, .queries = {}, .outputs = [&](int, const Tensor& a, const Tensor&) {
                           direct.push_back(a.to_host<float>());
                         }};
  for (const std::int32_t token : {17, 40})
    model().extend(host(), alone, std::vector<Tokens>{{token}, {}},
                   {.tap = &tap, .all_logits = {}, .checkpoint = {}});
  EXPECT_EQ(seen.second[0], direct[0]);
  EXPECT_EQ(seen.second[3], direct[3]) << "with the new token before it";
  EXPECT_NE(seen.second[1], direct[1]) << "the residual stream there has felt the eviction";
}

// Rows of full attention, cut to the selection and the new token, scaled up and taken through values and the projection
// in float64, in every layer.
TEST(SecondSelection, IsDenseAttentionThatIsMaskedAndRenormalised) {
  constexpr int T = 60, D = 8, H = 4, C = 24;
  const auto snapshot = model().prefill(host(), some_tokens(T), {});
  const std::vector<std::vector<std::int32_t>> lanes{{0, 5, 33}, {59}, {1, 2}, {7, 8, 9}, {0}, {4, 58}};
  Selection selection(3, 2);
  for (const auto& lane : lanes) selection.push_lane(lane);
  RaggedCache cache(snapshot, std::vector<Kept>{everything(snapshot->shape()), {selection, {}, {}}}, T, 1);
  std::vector<std::vector<float>> rows, seen;  // [L * H][T + 1], [L][C]
  const AttentionTap tap{
      .row =
          [&](const AttentionRow& row) {
            rows.emplace_back(row.probabilities.begin(), row.probabilities.end());
          },
      .queries = {},
      .outputs = [&](int, const Tensor&, const Tensor& b) { seen.push_back(b.to_host<float>()); }};
  model().extend(host(), cache, std::vector<Tokens>{{17}, {}},
                 {.tap = &tap, .all_logits = {}, .checkpoint = {}});
  const Observation live(cache.observe(0));
  const RandomWeights weights(kShape, 5);
  ASSERT_EQ(rows.size(), 12u);
  for (int layer = 0; layer < 3; ++layer) {
    const auto projection = weights.load("model.layers." + std::to_string(layer) + ".self_attn.o_proj.weight")
                                .widened();  // [C, H D]
    std::vector<double> mixed;               // [H D]
    for (int h = 0; h < H; ++h) {
      const int lane = layer * 2 + h / 2;
      auto slots = lanes[static_cast<std::size_t>(lane)];
      slots.push_back(T);
      const auto values = live.values(lane, slots).to_host<float>();  // [slots, D]
      const auto& row = rows[static_cast<std::size_t>(layer * H + h)];
      double mass = 0;
      for (const auto slot : slots) mass += double{row[static_cast<std::size_t>(slot)]};
      for (std::size_t d = 0; d < D; ++d) {
        double sum = 0;
        for (std::size_t i = 0; i < slots.size(); ++i)
          sum += double{row[static_cast<std::size_t>(slots[i])]} / mass * double{values[i * D + d]};
        mixed.push_back(sum);
      }
    }
    for (std::size_t c = 0; c < C; ++c) {
      double out = 0;
      for (std::size_t i = 0; i < mixed.size(); ++i)
        out += double{projection[c * mixed.size() + i]} * mixed[i];
      EXPECT_NEAR(double{seen[static_cast<std::size_t>(layer)][c]}, out, 1e-5) << layer << " " << c;
    }
  }
}

TEST(LayerErrors, AreZeroOfAPromptThatFits) {
  const LayerErrors out = layer_errors(host(), model(), some_tokens(32), compresskv(), {.max_new = 5});
  EXPECT_EQ(out.steps, 4);
  EXPECT_EQ(out.answer.size(), 5u);
  EXPECT_EQ(out.sums, std::vector<double>(3));
}

TEST(LayerErrors, AddUpOverTheStepsOfTheFullCachesAnswer) {
  const Tokens prompt = some_tokens(90);
  const LayerErrors out = layer_errors(host(), model(), prompt, compresskv(), {.max_new = 6});
  const Protocol published{Protocol::Question::kInside, Protocol::FirstToken::kFull};
  const std::vector<Point> full{{"full", make_policy("full"), "full", 0}};
  EXPECT_EQ(out.answer, evaluate(host(), model(), {prompt, {}}, full, published, {.max_new = 6})[0].tokens);
  EXPECT_EQ(out.steps, 5);

  const auto snapshot = model().prefill(host(), prompt, compresskv().needs(model().shape(90)));
  const Budget budget{32};
  const Kept kept = compresskv().select(snapshot->observation, std::span(&budget, 1))[0];
  for (int lane = 0; lane < 6; ++lane) ASSERT_EQ(kept.selection.lane(lane).size(), 32u);
  std::vector<Tokens> passes;
  for (int i = 0; i < 5; ++i) passes.push_back({out.answer[static_cast<std::size_t>(i)]});
  const Outputs seen = outputs_of(snapshot, kept, 90, passes);
  std::vector<double> sums(3);
  for (std::size_t i = 0; i < seen.first.size(); ++i)
    sums[i % 3] += output_error(seen.second[i], seen.first[i]);
  EXPECT_EQ(out.sums, sums);
  for (const double sum : sums) EXPECT_GT(sum, 0);
}

TEST(LayerErrors, EndWhereTheAnswerEnds) {
  const auto measured = [](int tokens, const Tokens& ends, bool first_may_end = true) {
    return layer_errors(host(), model(), some_tokens(tokens), compresskv(),
                        {.max_new = 6, .end_tokens = ends, .first_may_end = first_may_end});
  };
  int T = 40;  // the first prompt whose answer says something else than its first token
  while (std::ranges::count(measured(T, {}).answer, measured(T, {}).answer[0]) == 6) ++T;
  const Tokens whole = measured(T, {}).answer;
  const auto other = std::ranges::find_if(whole, [&](std::int32_t id) { return id != whole[0]; });
  const LayerErrors cut = measured(T, {*other});
  EXPECT_EQ(cut.answer, Tokens(whole.begin(), other));
  EXPECT_EQ(cut.steps, other - whole.begin()) << "the pass that gave the end counts";
  const LayerErrors none = measured(T, {whole[0]});
  EXPECT_TRUE(none.answer.empty());
  EXPECT_EQ(none.steps, 0);

  // Where it may not end at once, the next best token begins it.
  const LayerErrors some = measured(T, {whole[0]}, false);
  const std::vector<Point> full{{"full", make_policy("full"), "full", 0}};
  const DecodeLimits limits{.max_new = 6, .end_tokens = {whole[0]}, .first_may_end = false};
  const Protocol published{Protocol::Question::kInside, Protocol::FirstToken::kFull};
  EXPECT_EQ(some.answer, evaluate(host(), model(), {some_tokens(T), {}}, full, published, limits)[0].tokens);
  ASSERT_FALSE(some.answer.empty());
  EXPECT_NE(some.answer[0], whole[0]);
  EXPECT_GT(some.steps, 0);
}

}  // namespace
}  // namespace evictbench
