// What the types allow beyond keeping and dropping, each proven by a stub policy, end to end on a random decoder.
#include <gtest/gtest.h>

#include "harness/evaluate.h"
#include "harness/plan.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"
#include "tests/support/stub_policies.h"

namespace evictbench {
namespace {

const RandomShape kShape{.layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .hidden = 24};

const Decoder& model() {
  static const Decoder decoder(host(), config_of(kShape), usual_names(config_of(kShape)),
                               RandomWeights(kShape, 5));
  return decoder;
}

std::shared_ptr<const Snapshot> snapshot_of(const Policy& policy, int T) {
  return model().prefill(host(), some_tokens(T), policy.needs(model().shape(T)));
}

Kept kept_of(const Policy& policy, const Snapshot& snapshot, double entries,
             Budget::Rule rule = Budget::Rule::kExact) {
  const Budget budget{entries, rule};
  return policy.select(snapshot.observation, std::span(&budget, 1))[0];
}

Kept everything(const KvShape& s) { return {Selection::everything(s.layers, s.kv_heads, s.tokens), {}, {}}; }

// Logits after one more token, through the cache that `kept` leaves.
std::vector<float> next_logits(const std::shared_ptr<const Snapshot>& snapshot, const Kept& kept) {
  RaggedCache cache(snapshot, std::span(&kept, 1), snapshot->shape().tokens, 1);
  return model().extend(host(), cache, std::vector<Tokens>{{17}}).to_host<float>();
}

// The attention of one query on lane 0 of a cache of one point, through the product's kernel.
std::vector<float> attend(const RaggedCache& cache, const std::vector<float>& query) {
  const int D = static_cast<int>(query.size());
  const Tensor q = Tensor::from_host<float>(host(), query, {1, 1, D});
  Tensor out(host(), DType::kF32, {1, 1, D}), log_sum(host(), DType::kF32, {1, 1});
  const AttendTask task{cache.view(0, 0, 0), 0, 1, 0, 1, 1 << 20};
  host().ops().attend(host(), std::span(&task, 1), q, out, log_sum);
  return out.to_host<float>();
}

float distance(const std::vector<float>& a, const std::vector<float>& b) {
  float most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

TEST(Seams, ADecodeRuleIsShownTheLiveCacheAndReplacesIt) {
  stubs::RollingHeavyHitters::Seen seen;
  const auto rolling = std::make_shared<stubs::RollingHeavyHitters>(&seen);
  const std::vector<Point> points{{"rolling", rolling, "entries", 12},
                                  {"full", make_policy("full"), "full", 0}};
  const Protocol after{Protocol::Question::kAfter, Protocol::FirstToken::kEvicted};
  const auto answers =
      evaluate(host(), model(), {some_tokens(40), some_tokens(1)}, points, after, {.max_new = 9});
  EXPECT_EQ(answers[0].error, "");
  ASSERT_EQ(answers[0].tokens.size(), 9u);
  EXPECT_EQ(seen.longest, std::vector<std::int32_t>(8, 13)) << "each step shows 12 kept entries and one new";
  EXPECT_TRUE(std::ranges::all_of(seen.newest_mass, [](float m) { return m > 0 && m <= 1; }))
      << "attention while decoding counts";
  EXPECT_EQ(answers[1].error, "");
}

TEST(Seams, ABlendStandsForWhatItMergedThroughItsBias) {
  const KvShape shape{1, 2, 2, 8, 30};
  auto parts = random_parts(shape, {}, 2);
  for (int i = 1; i <= 10; ++i)  // tokens 0..10 of lane 0 are copies of one
    for (int d = 0; d < 8; ++d) {
      parts.cache.lane_keys<float>(0)[key_index(i, 8, d)] =
          parts.cache.lane_keys<float>(0)[key_index(0, 8, d)];
      parts.cache.lane_values<float>(0)[i * 8 + d] = parts.cache.lane_values<float>(0)[d];
    }
  const auto snapshot = std::make_shared<const Snapshot>(std::move(parts), std::vector<float>{});
  const auto cache_of = [&](const Kept& kept) { return RaggedCache(snapshot, std::span(&kept, 1), 30, 1); };
  const Kept weighed = kept_of(stubs::Centroid(true), *snapshot, 20),
             plain = kept_of(stubs::Centroid(false), *snapshot, 20);
  std::vector<float> query;
  for (int d = 0; d < 8; ++d)
    query.push_back(snapshot->observation.cache().lane_keys<float>(0)[key_index(0, 8, d)]);
  const auto full = attend(cache_of(everything(shape)), query);
  EXPECT_EQ(weighed.entries(), 20 * 2) << "a centroid counts as an entry";
  EXPECT_LT(distance(attend(cache_of(weighed), query), full), 1e-5f)
      << "log(count) stands for the merged tokens";
  EXPECT_GT(distance(attend(cache_of(plain), query), full), 1e-2f)
      << "without it the centroid weighs too little";
  RaggedCache live = cache_of(weighed);
  const auto before = attend(live, query);
  live.replace(0, {Selection::everything(1, 2, 20), {}, {}});
  EXPECT_EQ(attend(live, query), before) << "a blend keeps its bias when the live cache is rewritten";
}

TEST(Seams, BlendsDecodeEndToEnd) {
  const std::vector<Point> points{{"merged", std::make_shared<stubs::Centroid>(true), "entries", 12}};
  const auto answers =
      evaluate(host(), model(), {some_tokens(50), some_tokens(3)}, points, {}, {.max_new = 6});
  EXPECT_EQ(answers[0].error, "");
  EXPECT_EQ(answers[0].tokens.size(), 6u);
  EXPECT_EQ(answers[0].kept, 12 * 4);
}

TEST(Seams, ACodecChangesKeysAndLogicalBytes) {
  const auto full = make_policy("full");
  const auto snapshot = snapshot_of(*full, 40);
  std::vector<float> r(8 * 3);  // [D, rank]: the first three axes
  for (std::size_t i = 0; i < 3; ++i) r[i * 3 + i] = 1;
  Kept coded = everything(snapshot->shape());
  coded.codecs.assign(4, std::make_shared<stubs::LowRank>(r, 3));
  const Kept plain = everything(snapshot->shape());
  EXPECT_GT(distance(next_logits(snapshot, coded), next_logits(snapshot, plain)), 1e-3f) << "which matters";
  const RaggedCache a(snapshot, std::span(&coded, 1), 40, 1), b(snapshot, std::span(&plain, 1), 40, 1);
  const std::vector<float> query{1, -1, 2, 3, -2, 1, 1, -3}, projected{1, -1, 2, 0, 0, 0, 0, 0};  // R Rᵀ q
  EXPECT_LT(distance(attend(a, query), attend(b, projected)), 1e-5f) << "keys went through the codec";
  EXPECT_EQ(a.logical_bytes(0), 4 * 4.0 * 40 * (3 + 8)) << "logical bytes are the codec's";
  EXPECT_EQ(a.retained_bytes(0), 4 * 40 * 2 * 8 * 4);
  EXPECT_GT(a.allocated_bytes(0), b.allocated_bytes(0)) << "allocated bytes are what is there";
}

TEST(Seams, AProbeIsASecondPassOverTheFullCache) {
  const stubs::Repeat policy;
  const auto snapshot = snapshot_of(policy, 30);
  const std::vector<float> table = snapshot->observation.probe("repeat").to_host<float>();  // [L, H, T]
  for (const float p : table) EXPECT_TRUE(p > 0 && p <= 1);
  const Kept kept = kept_of(policy, *snapshot, 7);
  float worst_kept = 1, best_gone = 0;  // lane 0 is read by query heads 0 and 1
  for (std::int32_t t = 0; t < 30; ++t) {
    const float most = std::max(table[static_cast<std::size_t>(t)], table[static_cast<std::size_t>(30 + t)]);
    if (std::ranges::count(kept.selection.lane(0), t))
      worst_kept = std::min(worst_kept, most);
    else
      best_gone = std::max(best_gone, most);
  }
  EXPECT_EQ(kept.selection.lane(0).size(), 7u);
  EXPECT_GE(worst_kept, best_gone) << "what the second pass looked at is kept";
  const auto bare = snapshot_of(*make_policy("full"), 30);
  EXPECT_THROW(kept_of(policy, *bare, 7), Error) << "a probe that nobody asked for";
}

TEST(Seams, QueryHeadUnitsGiveEveryHeadALaneOfItsOwn) {
  const stubs::SnapKvQueryHeads policy;
  const auto snapshot = snapshot_of(policy, 60);
  const Kept loose = kept_of(policy, *snapshot, 10, Budget::Rule::kPublished),
             exact = kept_of(policy, *snapshot, 10);
  EXPECT_EQ(loose.selection.heads(), 4);
  EXPECT_EQ(loose.entries(), 2 * 10 * 4) << "as published it spends twice the entries";
  EXPECT_EQ(exact.entries(), 10 * 4) << "an exact budget is the same memory for all";
  const RaggedCache cache(snapshot, std::span(&loose, 1), 60, 1);
  EXPECT_EQ(cache.retained_bytes(0), 2 * 10 * 4 * 2 * 8 * 4);
  EXPECT_EQ(cache.view(0, 0, 0).base.entries, 10);
  const std::vector<Point> points{
      {"query heads", std::make_shared<stubs::SnapKvQueryHeads>(), "entries", 10}};
  const auto answers =
      evaluate(host(), model(), {some_tokens(50), some_tokens(3)}, points, {}, {.max_new = 5});
  EXPECT_EQ(answers[0].error, "");
  EXPECT_EQ(answers[0].tokens.size(), 5u);
}

// What was asked is counted in KV heads' entries, for all alike; what a repository makes of it is reported, not refused.
TEST(Seams, PublishedVariantsMayOverspend) {
  const std::vector<Point> points{{"heads", make_policy("snapkv@snapkv{window=4}"), "entries", 10},
                                  {"pyramid", make_policy("pyramidkv@adakv{window=4,beta=2}"), "entries", 10},
                                  {"plain", make_policy("snapkv@compresskv{window=4}"), "entries", 10}};
  const auto answers =
      evaluate(host(), model(), {some_tokens(50), some_tokens(3)}, points, {}, {.max_new = 5});
  for (const Answer& answer : answers) {
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.tokens.size(), 5u);
    EXPECT_EQ(answer.asked, 10 * 4);
    EXPECT_EQ(answer.full_entries, 53 * 4);
  }
  EXPECT_EQ(answers[0].kept, 2 * 10 * 4) << "10 for each of four query heads in two layers";
  EXPECT_EQ(answers[1].kept, 40) << "6 past: max 9, min 3: 13 and 7";
  EXPECT_EQ(answers[1].kept_by_layer, (std::vector<std::int64_t>{26, 14}));
  EXPECT_EQ(answers[2].kept, 10 * 4);
  EXPECT_EQ(predict(points[0], model().shape(53)).entries, 2 * 10 * 4);
  EXPECT_EQ(predict(points[2], model().shape(53)).entries, 10 * 4);
}

TEST(Seams, ATapSeesAttentionAndMayRewriteQueries) {
  const auto full = make_policy("full");
  const Tokens prompt = some_tokens(20);
  int rows = 0;
  AttentionTap tap{.row =
                       [&](const AttentionRow& row) {
                         float sum = 0;
                         for (const float p : row.probabilities) sum += p;
                         EXPECT_NEAR(sum, 1, 1e-5);
                         ++rows;
                       },
                   .queries = {}};
  const auto plain = model().prefill(host(), prompt, {});
  const auto seen = model().prefill(host(), prompt, {}, {.tap = &tap, .all_logits = {}, .checkpoint = {}});
  EXPECT_EQ(rows, 20 * 2 * 4);
  EXPECT_EQ(seen->last_logits, plain->last_logits) << "watching changes nothing";
  tap.row = {};
  tap.queries = [](int layer, Tensor& queries) {  // head 1 of layer 0 looks at everything alike
    if (layer != 0) return;
    for (int n = 0; n < queries.dim(0); ++n)
      std::fill_n(queries.row<float>(std::ptrdiff_t{n} * queries.dim(1) + 1), queries.dim(2), 0.0f);
  };
  const auto masked = model().prefill(host(), prompt, {}, {.tap = &tap, .all_logits = {}, .checkpoint = {}});
  EXPECT_GT(distance(masked->last_logits, plain->last_logits), 1e-4f);
}

TEST(Seams, ObservationsDoNotDependOnWhatElseIsAskedFor) {
  const Stat all{Stat::kWindowAttention, 30}, few{Stat::kWindowAttention, 4}, sums{Stat::kColumnSums};
  const auto rich = model().prefill(host(), some_tokens(30), {{all, sums}, {}});
  const auto poor = model().prefill(host(), some_tokens(30), {{few}, {}});
  const auto table = [](const auto& snapshot, const Stat& stat) {
    return snapshot->observation.table(stat).template to_host<float>();
  };
  EXPECT_LT(distance(table(rich, all), table(rich, sums)), 1e-5f)
      << "a window of all queries gives column sums";
  EXPECT_EQ(table(rich, few), table(poor, few)) << "asking for more changes no bit of the rest";
  EXPECT_THROW(poor->observation.table(all), Error) << "a window larger than was kept";
}

}  // namespace
}  // namespace evictbench
