// Fidelity against the same thing taken apart: tokens fed one at a time, sums in long doubles, attention from the float64
// reference; and its promises: exact for the full cache, the same bits whoever else is there.
#include "harness/fidelity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "models/decoder.h"
#include "models/reference.h"
#include "policies/registry.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"
#include "tests/support/stub_policies.h"

namespace evictbench {
namespace {

using Kind = Continuation::Kind;
using Rows = std::map<int, std::vector<std::vector<float>>>;  // by point; the full cache is -1

const RandomShape kShape{.layers = 3, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .hidden = 24};
const Protocol kInside{}, kFirstFull{Protocol::Question::kInside, Protocol::FirstToken::kFull},
    kAfter{Protocol::Question::kAfter, Protocol::FirstToken::kEvicted};

const Decoder& model() {
  static const Decoder decoder(host(), config_of(kShape), usual_names(config_of(kShape)),
                               RandomWeights(kShape, 5));
  return decoder;
}

Prompt some_prompt(int n = 90) {
  Tokens tokens;
  for (int i = 0; i < n; ++i) tokens.push_back((i * 7 + i * i) % 262);
  return {tokens, {3, 141, 59, 26, 5}};
}

const Tokens& reference() {  // longer than two strides
  static const Tokens tokens = [] {
    Tokens out;
    for (int i = 0; i < 37; ++i) out.push_back((i * 31 + 11) % 262);
    return out;
  }();
  return tokens;
}

Point point_of(const std::string& name, double amount) {
  const std::shared_ptr<const Policy> policy = make_policy(name);
  return {name, policy, policy->evicts() ? "entries" : "full", amount};
}

std::vector<Point> some_points() {
  return {point_of("full", 0),
          point_of("snapkv", 40),
          point_of("random", 20),
          point_of("streaming_llm", 12),
          {"query heads", std::make_shared<stubs::SnapKvQueryHeads>(), "entries", 10}};
}

struct Asked {
  std::vector<Point> points = some_points();
  Protocol protocol = kInside;
  DecodeLimits limits{.max_new = 40};
  Continuation continuation{.kind = Kind::kReference, .reference = reference()};
  Prompt prompt = some_prompt();
};

std::vector<Answer> ask(const Asked& asked, Device& device = host(), const Model& of = model()) {
  return evaluate(device, of, asked.prompt, asked.points, asked.protocol, asked.limits, nullptr, {},
                  asked.continuation);
}
std::vector<Answer> ask(Asked asked, Rows& rows) {
  asked.continuation.heard = [&](int point, std::span<const float> logits) {
    rows[point].emplace_back(logits.begin(), logits.end());
  };
  return ask(asked);
}

void expect_same(const std::optional<Fidelity>& a, const std::optional<Fidelity>& b) {
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->tokens, b->tokens);
  EXPECT_EQ(a->kl, b->kl);
  EXPECT_EQ(a->agreement, b->agreement);
  EXPECT_EQ(a->delta_nll, b->delta_nll);
  EXPECT_EQ(a->mass, b->mass);
  EXPECT_EQ(a->mass_by_layer, b->mass_by_layer);
}

TEST(Fidelity, OfTheFullCacheIsExact) {
  for (const Protocol& protocol : {kInside, kFirstFull, kAfter})
    for (const Kind kind : {Kind::kAnswer, Kind::kReference}) {
      const Fidelity full =
          ask({.protocol = protocol, .continuation = {kind, reference()}})[0].fidelity.value();
      EXPECT_EQ(full.kl, 0.0);
      EXPECT_EQ(full.agreement, 1.0);
      EXPECT_EQ(full.delta_nll, 0.0);
      EXPECT_EQ(full.mass, 1.0);
      EXPECT_EQ(full.mass_by_layer, std::vector<double>(3, 1.0));
    }
}

TEST(Fidelity, IsNotAskedForByDefault) {
  for (const Answer& answer : ask({.continuation = {}})) EXPECT_FALSE(answer.fidelity);
}

TEST(Fidelity, ChangesNoAnswer) {
  const auto with = ask({}), without = ask({.continuation = {}});
  for (std::size_t p = 0; p < with.size(); ++p) EXPECT_EQ(with[p].tokens, without[p].tokens);
}

// Logits of one point, fed one token at a time: what fidelity feeds in strides.
std::vector<std::vector<float>> rows_by_hand(const Feed& feed, const Kept& kept,
                                             const std::shared_ptr<const Snapshot>& snapshot,
                                             const Tokens& forced) {
  RaggedCache cache(snapshot, std::span(&kept, 1), feed.from, 80);
  std::vector<std::vector<float>> rows;
  Tokens fed = feed.tokens;
  for (std::size_t i = 0; i < forced.size(); ++i) {
    if (!fed.empty()) rows.push_back(model().extend(host(), cache, std::span(&fed, 1)).to_host<float>());
    fed = {forced[i]};
  }
  return rows;
}

long double log_probability(const std::vector<float>& row, std::size_t of) {
  long double sum = 0;
  for (const float x : row) sum += std::exp(static_cast<long double>(x));
  return static_cast<long double>(row[of]) - std::log(sum);
}

TEST(Fidelity, IsWhatTokenByTokenGives) {
  for (const Protocol& protocol : {kInside, kFirstFull, kAfter}) {
    Rows rows;
    const Asked asked{.protocol = protocol};
    const auto answers = ask(asked, rows);
    const Feed feed = feed_of(asked.prompt, protocol);
    const auto snapshot = model().prefill(
        host(), feed.prompt, needs_of(asked.points, model().shape(static_cast<int>(feed.prompt.size()))));
    std::vector<std::string> errors;
    const std::vector<Kept> kept = select_all(asked.points, snapshot->observation, errors);
    const auto full = rows_by_hand(feed, kept[0], snapshot, reference());
    const std::size_t n = full.size(), skipped = reference().size() - n;
    ASSERT_EQ(skipped, protocol.first_token == Protocol::FirstToken::kFull ? 1u : 0u);
    EXPECT_TRUE(rows[-1] == full);
    for (std::size_t p = 0; p < answers.size(); ++p) {
      const auto own = rows_by_hand(feed, kept[p], snapshot, reference());
      EXPECT_TRUE(rows[static_cast<int>(p)] == own) << asked.points[p].name;
      long double kl = 0, delta = 0, same = 0;
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t v = 0; v < full[i].size(); ++v) {
          const long double a = log_probability(full[i], v), b = log_probability(own[i], v);
          kl += std::exp(a) * (a - b);
        }
        const auto target = static_cast<std::size_t>(reference()[i + skipped]);
        delta += log_probability(full[i], target) - log_probability(own[i], target);
        same += std::ranges::max_element(full[i]) - full[i].begin() ==
                std::ranges::max_element(own[i]) - own[i].begin();
      }
      const Fidelity& f = *answers[p].fidelity;
      const auto count = static_cast<double>(n);
      EXPECT_EQ(f.tokens, static_cast<int>(n));
      EXPECT_NEAR(f.kl, static_cast<double>(kl) / count, 1e-11 * f.kl);
      EXPECT_NEAR(f.delta_nll, static_cast<double>(delta) / count, 1e-11);
      EXPECT_EQ(f.agreement, static_cast<double>(same) / count);
      if (p == 0) continue;
      EXPECT_GT(f.kl, 1e-4);
      EXPECT_LT(f.mass, 1);
    }
  }
}

// On the float64 reference device, whose attention shares no code.
TEST(Fidelity, AttentionMassIsThatOfTheReferenceDevice) {
  const ReferenceDecoder reference_model(config_of(kShape), usual_names(config_of(kShape)),
                                         RandomWeights(kShape, 5));
  for (const Protocol& protocol : {kInside, kAfter}) {
    const auto ours = ask({.protocol = protocol}),
               theirs = ask({.protocol = protocol}, host(), reference_model);
    for (std::size_t p = 0; p < ours.size(); ++p) {
      EXPECT_NEAR(ours[p].fidelity->mass, theirs[p].fidelity->mass, 1e-5);
      EXPECT_NEAR(ours[p].fidelity->kl, theirs[p].fidelity->kl, 1e-5);
      for (std::size_t l = 0; l < 3; ++l)
        EXPECT_NEAR(ours[p].fidelity->mass_by_layer[l], theirs[p].fidelity->mass_by_layer[l], 1e-5);
    }
  }
}

// Of a point that keeps the same slots everywhere, from rows of attention that are listened to one token at a time.
TEST(Fidelity, AttentionMassIsThatOfThePositionsCompared) {
  const Asked asked{.points = {point_of("streaming_llm", 12)}};
  const Feed feed = feed_of(asked.prompt, asked.protocol);
  const auto snapshot = model().prefill(host(), feed.prompt, {});
  const int T = static_cast<int>(feed.prompt.size());
  const Kept everything{Selection::everything(3, 2, T), {}, {}};
  RaggedCache cache(snapshot, std::span(&everything, 1), feed.from, 80);
  std::vector<double> on_kept(3), all(3);
  const AttentionTap tap{.row =
                             [&](const AttentionRow& row) {
                               for (int slot = 0; slot < feed.from; ++slot) {
                                 const double paid =
                                     double{row.probabilities[static_cast<std::size_t>(slot)]};
                                 const bool kept = slot < 4 || slot >= T - 8;  // sinks and the newest
                                 const auto layer = static_cast<std::size_t>(row.layer);
                                 all[layer] += paid;
                                 if (kept) on_kept[layer] += paid;
                               }
                             },
                         .queries = {}};
  Tokens fed = feed.tokens;
  for (const std::int32_t next : reference()) {
    model().extend(host(), cache, std::span(&fed, 1), {.tap = &tap, .all_logits = {}, .checkpoint = {}});
    fed = {next};
  }
  const Fidelity f = ask(asked)[0].fidelity.value();
  for (std::size_t l = 0; l < 3; ++l) EXPECT_NEAR(f.mass_by_layer[l], on_kept[l] / all[l], 1e-12);
  EXPECT_NEAR(f.mass, (f.mass_by_layer[0] + f.mass_by_layer[1] + f.mass_by_layer[2]) / 3, 1e-15);
}

TEST(Fidelity, IsTheSameWhateverTheBatchTheThreadsAndTheOtherPoints) {
  for (const Kind kind : {Kind::kAnswer, Kind::kReference}) {
    const Continuation continuation{kind, reference()};
    const auto all = ask({.continuation = continuation});
    const auto expect_all_same = [&](const std::vector<Answer>& other) {
      for (std::size_t p = 0; p < all.size(); ++p) expect_same(all[p].fidelity, other[p].fidelity);
    };
    expect_all_same(ask({.limits = {.max_new = 40, .batch_bytes = 1}, .continuation = continuation}));
    for (const auto layout : {RaggedCache::Layout::kList, RaggedCache::Layout::kMask})
      expect_all_same(ask({.limits = {.max_new = 40, .layout = layout}, .continuation = continuation}));
    CpuDevice threaded(3);
    const Decoder again(threaded, config_of(kShape), usual_names(config_of(kShape)),
                        RandomWeights(kShape, 5));
    expect_all_same(ask({.continuation = continuation}, threaded, again));
    for (std::size_t p = 1; p < all.size(); ++p) {  // without a full cache among them
      const auto alone = ask({.points = {some_points()[p]}, .continuation = continuation});
      expect_same(all[p].fidelity, alone[0].fidelity);
    }
  }
}

TEST(Fidelity, AlongTheAnswerComparesItsEndToo) {
  const auto answer_of = [](int n) {
    return ask({.limits = {.max_new = 20}, .prompt = some_prompt(n)})[0].tokens;
  };
  int length = 40;  // the first prompt whose answer says something else than its first token
  while (std::ranges::count(answer_of(length), answer_of(length)[0]) == 20) ++length;
  const auto tokens_of = [&](const Protocol& protocol, int max_new, const Tokens& ends, Rows& rows) {
    const auto answers = ask({.protocol = protocol,
                              .limits = {.max_new = max_new, .end_tokens = ends},
                              .continuation = {.kind = Kind::kAnswer},
                              .prompt = some_prompt(length)},
                             rows);
    return answers[0].fidelity ? answers[0].fidelity->tokens : 0;
  };
  const Tokens answer = answer_of(length);
  const auto other = std::ranges::find_if(answer, [&](std::int32_t id) { return id != answer[0]; });
  const int before = static_cast<int>(other - answer.begin());
  const Tokens last{*other}, first{answer[0]};
  Rows cut, ended, at_once, none;
  EXPECT_EQ(tokens_of(kInside, 20, {}, cut), 20);
  EXPECT_EQ(tokens_of(kInside, 20, last, ended), before + 1);
  EXPECT_EQ(tokens_of(kInside, 20, first, at_once), 1) << "an empty answer has an end";
  const auto best = [](const std::vector<float>& row) { return std::ranges::max_element(row) - row.begin(); };
  EXPECT_EQ(best(ended[-1].back()), *other);
  EXPECT_EQ(best(at_once[-1].back()), answer[0]);
  for (std::size_t i = 0; i < cut[-1].size(); ++i) EXPECT_EQ(best(cut[-1][i]), answer[i]);
  // The first token of these comes from the prefill.
  EXPECT_EQ(tokens_of(kFirstFull, 20, {}, cut), 19);
  EXPECT_EQ(tokens_of(kFirstFull, 1, {}, none), 0);
  EXPECT_EQ(tokens_of(kFirstFull, 20, first, none), 0);
  EXPECT_TRUE(none.empty());
}

// What a point would have said by itself is what it finds best when that is fed to it: masks and decode rules included.
TEST(Fidelity, PointsAreFedAsTheyDecode) {
  stubs::RollingHeavyHitters::Seen seen;
  Point masked = point_of("snapkv", 30);
  masked.masked_heads = {0, 5, 6, 11};
  const std::vector<Point> points{
      masked, {"rolling", std::make_shared<stubs::RollingHeavyHitters>(&seen), "entries", 16}};
  for (const Point& point : points) {
    const Tokens answer = ask({.points = {point}})[0].tokens;
    Rows rows;
    const auto again = ask({.points = {point_of("snapkv", 30), point},
                            .continuation = {.kind = Kind::kReference, .reference = answer}},
                           rows);
    ASSERT_EQ(rows[1].size(), answer.size());
    for (std::size_t i = 0; i < answer.size(); ++i)
      EXPECT_EQ(std::ranges::max_element(rows[1][i]) - rows[1][i].begin(), answer[i])
          << point.name << " " << i;
    EXPECT_EQ(again[1].error, "");
  }
}

// A token whose embedding is not a number.
class OneBadToken final : public WeightSource {
 public:
  Weight load(const std::string& name) const override {
    Weight weight = good_.load(name);
    const float bad = std::numeric_limits<float>::quiet_NaN();
    if (name == usual_names(config_of(shape())).embedding[0])
      std::memcpy(weight.bytes.data() + std::size_t{200} * 24 * sizeof bad, &bad, sizeof bad);
    return weight;
  }
  static RandomShape shape() {
    RandomShape shape = kShape;
    shape.tied = false;
    return shape;
  }

 private:
  RandomWeights good_{shape(), 5};
};

TEST(Fidelity, ALogitThatIsNoNumberFailsThePoint) {
  const DecoderConfig config = config_of(OneBadToken::shape());
  const Decoder bad(host(), config, usual_names(config), OneBadToken());
  const auto along = [&](const Tokens& tokens) {  // an answer of one token, which is not fed again
    return ask({.limits = {.max_new = 1},
                .continuation = {.kind = Kind::kReference, .reference = tokens},
                .prompt = {Tokens(60, 7), {8}}},
               host(), bad);
  };
  const auto fine = along({5, 200}), failed = along({5, 200, 6});
  for (std::size_t p = 0; p < fine.size(); ++p) {
    EXPECT_EQ(fine[p].error, "");
    EXPECT_TRUE(fine[p].fidelity);
    EXPECT_EQ(failed[p].error, "fidelity: a logit that is not a number, of the full cache");
    EXPECT_FALSE(failed[p].fidelity);
  }
}

}  // namespace
}  // namespace evictbench
