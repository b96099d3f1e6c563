// Perplexity by its protocols, against the scalar decoder with everything evicted masked out.
#include "harness/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/feeding.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "policies/streaming_llm.h"
#include "tests/support/fixtures.h"
#include "tests/support/program.h"
#include "tests/support/scalar_decoder.h"

namespace evictbench {
namespace {

const RandomShape kShape{.layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .hidden = 24};

const RandomWeights& weights() {
  static const RandomWeights all(kShape, 5);
  return all;
}

const Decoder& model() {
  static const Decoder decoder(host(), config_of(kShape), usual_names(config_of(kShape)), weights());
  return decoder;
}

Point point_of(const std::string& spec, double budget) {
  const std::shared_ptr<const Policy> policy = make_policy(spec);
  return {spec, policy, policy->evicts() ? "entries" : "full", budget};
}

// ids[first ..] by the dense decoder; sees(query, layer, KV head, position) says what is not masked.
using Sees = std::function<bool(int, int, int, int)>;
double masked(std::span<const std::int32_t> ids, std::size_t first, const Sees& sees) {
  ScalarDecoder scalar(config_of(kShape), weights());
  double sum = 0;
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const auto visible = [&](int layer, int head, int position) {
      return sees(static_cast<int>(i), layer, head / 2, position);
    };
    const auto logits = scalar.feed(ids[i], visible);
    if (i + 1 >= first) sum += negative_log_likelihood(logits, ids[i + 1]);
  }
  return sum;
}
bool all(int, int, int, int) { return true; }

TEST(Perplexity, OfOneTokenByHand) {
  const std::vector<float> logits{0, std::log(2.0f), std::log(5.0f)};
  for (const auto& [token, p] : {std::pair{0, 1 / 8.0}, {1, 2 / 8.0}, {2, 5 / 8.0}})
    EXPECT_NEAR(negative_log_likelihood(logits, token), -std::log(p), 1e-7);
  EXPECT_TRUE(std::isnan(negative_log_likelihood(std::vector<float>{0, NAN}, 0)));
  EXPECT_TRUE(std::isnan(negative_log_likelihood(std::vector<float>{0, INFINITY}, 0)));
  EXPECT_NEAR((Likelihood{2 * std::log(3.0), 2}.perplexity()), 3, 1e-12);
}

TEST(Perplexity, OneWindowOverAllScoresEveryTokenButTheFirst) {
  const Tokens ids = some_tokens(60);
  const auto found = sliding_likelihood(host(), model(), ids, 100, 7);
  EXPECT_EQ(found.windows, 1);
  EXPECT_EQ(found.all.scored, 59);
  EXPECT_EQ(found.all.sum, masked(ids, 1, all));
  EXPECT_DOUBLE_EQ(found.published, found.all.nll());
}

TEST(Perplexity, AStrideOfAWindowIsChunksOnTheirOwn) {
  const Tokens ids = some_tokens(53);  // 20, 20, 13
  double sum = 0;
  for (const std::size_t begin : {0u, 20u, 40u})
    sum += masked(std::span(ids).subspan(begin, std::min<std::size_t>(20, 53 - begin)), 1, all);
  const auto found = sliding_likelihood(host(), model(), ids, 20, 20);
  EXPECT_EQ(found.all.scored, 50) << "the first of each chunk has nothing before it";
  EXPECT_DOUBLE_EQ(found.all.sum, sum);
  EXPECT_DOUBLE_EQ(found.published, found.all.nll());
}

TEST(Perplexity, OverlappingWindowsScoreTheirNewTokensOnce) {
  const Tokens ids = some_tokens(31);  // windows [0, 12), [5, 17), [10, 22), [15, 27), [20, 31)
  const std::span<const std::int32_t> text(ids);
  const double sums[] = {masked(text.subspan(0, 12), 1, all), masked(text.subspan(5, 12), 7, all),
                         masked(text.subspan(10, 12), 7, all), masked(text.subspan(15, 12), 7, all),
                         masked(text.subspan(20, 11), 7, all)};
  const auto found = sliding_likelihood(host(), model(), ids, 12, 5);
  EXPECT_EQ(found.windows, 5);
  EXPECT_EQ(found.all.scored, 30);
  EXPECT_DOUBLE_EQ(found.all.sum, sums[0] + sums[1] + sums[2] + sums[3] + sums[4]);
  const double weighed = sums[0] + (sums[1] + sums[2] + sums[3]) / 5 * 4 + sums[4] / 4 * 3;
  EXPECT_DOUBLE_EQ(found.published, weighed / (11 + 3 * 4 + 3));
}

TEST(Perplexity, RollingScoresEveryTokenBehindAPrefix) {
  const Tokens ids = some_tokens(25);
  Tokens all_ids{3};
  all_ids.insert(all_ids.end(), ids.begin(), ids.end());
  const std::span<const std::int32_t> text(all_ids);
  // Windows of 10 ids: two whole ones, each behind the id before it, and the last five with what fills the window.
  const double sums[] = {masked(text.subspan(0, 11), 1, all), masked(text.subspan(10, 11), 1, all),
                         masked(text.subspan(15, 11), 6, all)};
  const Likelihood found = rolling_likelihood(host(), model(), ids, 3, 10);
  EXPECT_EQ(found.scored, 25);
  EXPECT_DOUBLE_EQ(found.sum, sums[0] + sums[1] + sums[2]);
  const Likelihood whole = rolling_likelihood(host(), model(), ids, 3, 25),
                   wide = rolling_likelihood(host(), model(), ids, 3, 99);
  EXPECT_EQ(whole.sum, masked(text, 1, all));
  EXPECT_EQ(wide.sum, whole.sum);
  EXPECT_EQ(rolling_likelihood(host(), model(), {}, 3, 10).scored, 0);
}

TEST(Perplexity, EvictedIsTheDenseModelWithTheEvictedMasked) {
  const int P = 150, C = 70;  // more than are fed at a time
  const Tokens ids = some_tokens(P + C);
  const std::vector<Point> points{point_of("full", 0), point_of("snapkv{window=4}", 20), point_of("knorm", 7),
                                  point_of("adakv{window=4}", 33), point_of("streaming_llm", P)};
  const auto found = evicted_likelihood(host(), model(), ids, P, points);
  const auto snapshot = model().prefill(host(), std::span(ids).first(P), needs_of(points, model().shape(P)));
  std::vector<std::string> errors;
  const auto kept = select_all(points, snapshot->observation, errors);
  for (std::size_t p = 0; p < points.size(); ++p) {
    EXPECT_EQ(found[p].error, "");
    EXPECT_EQ(found[p].likelihood.scored, C);
    EXPECT_EQ(found[p].kept, kept[p].entries());
    const auto sees = [&](int query, int layer, int head, int position) {
      if (query < P - 1 || position >= P - 1) return true;
      return std::ranges::binary_search(kept[p].selection.lane(layer * 2 + head), position);
    };
    EXPECT_EQ(found[p].likelihood.sum, masked(ids, P, sees)) << points[p].name;
  }
  EXPECT_EQ(found[0].likelihood.sum, found[4].likelihood.sum) << "a budget of the whole prompt";
  EXPECT_NE(found[0].likelihood.sum, found[1].likelihood.sum);
  const auto alone = evicted_likelihood(host(), model(), ids, P, std::span(points).subspan(2, 1));
  EXPECT_EQ(alone[0].likelihood.sum, found[2].likelihood.sum) << "alone as in company";
}

TEST(Perplexity, ABatchBudgetHoldsMemoryAndChangesNoBit) {
  const int P = 200, C = 9;
  const Tokens ids = some_tokens(P + C);
  std::vector<Point> points{point_of("full", 0)};
  for (int budget = 130; budget < 190; budget += 3) points.push_back(point_of("knorm", budget));
  points.push_back(point_of("snapkv{window=4}", 33));
  const auto with_budget = [&](std::size_t bytes, std::size_t& peak) {
    host().reset_peak();
    auto found = evicted_likelihood(host(), model(), ids, P, points,
                                    {.layout = RaggedCache::Layout::kList, .batch_bytes = bytes});
    peak = host().peak_bytes();
    return found;
  };
  const DecodeLimits usual;
  std::size_t together = 0, in_two = 0, alone = 0;
  const auto wanted = with_budget(usual.batch_bytes, together);
  const KvShape shape = model().shape(P);
  const std::size_t half = 10 * cache_bytes(190 * shape.lanes(), shape.lanes(), shape, C);
  const auto halves = with_budget(half, in_two), ones = with_budget(1, alone);
  for (std::size_t p = 0; p < points.size(); ++p)
    for (const auto* other : {&halves, &ones}) {
      EXPECT_EQ((*other)[p].likelihood.sum, wanted[p].likelihood.sum) << points[p].name;
      EXPECT_EQ((*other)[p].bytes, wanted[p].bytes);
      EXPECT_EQ((*other)[p].kept, wanted[p].kept);
    }
  EXPECT_LT(in_two, together);
  EXPECT_LT(alone, in_two);

  const std::vector<Point> live(points.begin(), points.begin() + 5);
  const auto streamed = streaming_likelihood(host(), model(), std::span(ids).first(150), live);
  const auto apart =
      streaming_likelihood(host(), model(), std::span(ids).first(150), live, {.batch_bytes = 1});
  for (std::size_t p = 0; p < live.size(); ++p) {
    EXPECT_EQ(apart[p].likelihood.sum, streamed[p].likelihood.sum);
    EXPECT_EQ(apart[p].kept, streamed[p].kept);
  }
}

// Keeps the newest entries, of the prompt and while tokens are fed.
class Rolling final : public Unscored {
 public:
  std::unique_ptr<DecodeRule> decode_rule() const override { return std::make_unique<Rule>(*this); }

 private:
  class Rule final : public DecodeRule {
   public:
    explicit Rule(const Rolling& policy) : policy_(policy) {}
    int every() const override { return 1; }
    Kept decide(const Observation& live, const Budget& budget) override {
      return policy_.select(live, std::span(&budget, 1)).front();
    }

   private:
    const Rolling& policy_;
  };
  Protect protect() const override { return {.window = 1 << 20}; }
};

TEST(Perplexity, ADecodeRuleGoesOnEvicting) {
  const int P = 60, C = 40, budget = 12;
  const Tokens ids = some_tokens(P + C);
  const std::vector<Point> points{
      point_of("full", 0), {"rolling", std::make_shared<Rolling>(), "entries", budget}, point_of("knorm", 9)};
  const auto found = evicted_likelihood(host(), model(), ids, P, points);
  const auto sees = [](int query, int, int, int position) {
    // The last of the prompt is fed again: of the twelve that were kept it leaves eleven before it.
    return query < P - 1 || position >= (query == P - 1 ? P - budget : query - budget);
  };
  EXPECT_EQ(found[1].likelihood.sum, masked(ids, P, sees));
  EXPECT_EQ(evicted_likelihood(host(), model(), ids, P, std::span(points).subspan(2))[0].likelihood.sum,
            found[2].likelihood.sum)
      << "a point without a rule is fed as without the other";
}

TEST(Perplexity, StreamingSeesSinksAndWhatIsRecent) {
  const Tokens ids = some_tokens(90);
  const std::vector<Point> points{point_of("full", 0), point_of("streaming_llm", 20),
                                  point_of("streaming_llm{sinks=0}", 9), point_of("knorm", 8)};
  const auto found = streaming_likelihood(host(), model(), ids, points);
  const auto rolling = [](int sinks, int budget) -> Sees {
    return [=](int query, int, int, int position) {
      return position < sinks || position >= query - (budget - sinks);
    };
  };
  EXPECT_EQ(found[0].likelihood.sum, masked(ids, 1, all));
  EXPECT_EQ(found[1].likelihood.sum, masked(ids, 1, rolling(4, 20)));
  EXPECT_EQ(found[2].likelihood.sum, masked(ids, 1, rolling(0, 9)));
  for (const auto& point : found) EXPECT_EQ(point.likelihood.scored, 89);
  EXPECT_EQ(found[0].kept, 89 * 4);
  EXPECT_EQ(found[1].kept, 20 * 4);
  EXPECT_EQ(found[3].kept, 8 * 4);
  EXPECT_TRUE(std::isfinite(found[3].likelihood.sum));
}

// In one layer keys and values follow from their own token and place: under slots, what a token is foretold from is a
// prompt of what was kept.
TEST(Perplexity, SlotsAreThePlacesOfAPromptOfWhatWasKept) {
  RandomShape shape = kShape;
  shape.layers = 1;
  const RandomWeights random(shape, 8);
  const DecoderConfig config = config_of(shape);
  const Decoder one(host(), config, usual_names(config), random);
  const KeyMover slots(config);
  const Tokens ids = some_tokens(90);
  constexpr std::size_t kSinks = 4, kBudget = 20;
  const std::vector<Point> points{point_of("full", 0), point_of("streaming_llm", kBudget),
                                  point_of("streaming_llm{sinks=0}", kBudget), point_of("knorm", 99)};
  const auto found = streaming_likelihood(host(), one, ids, points, {}, &slots);
  for (const std::size_t p : {1u, 2u}) {
    const std::size_t sinks = p == 1 ? kSinks : 0;
    double sum = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      Tokens shown;
      for (std::size_t t = 0; t <= i; ++t)
        if (t < sinks || t + kBudget - sinks >= i) shown.push_back(ids[t]);
      sum += negative_log_likelihood(one.prefill(host(), shown, {})->last_logits, ids[i + 1]);
    }
    EXPECT_NEAR(found[p].likelihood.sum, sum, 1e-4) << points[p].name;
  }
  const auto own = streaming_likelihood(host(), one, ids, points);
  EXPECT_EQ(found[0].likelihood.sum, own[0].likelihood.sum);
  EXPECT_GT(std::abs(found[1].likelihood.sum - own[1].likelihood.sum), 1e-2) << "sinks come nearer";
  EXPECT_NEAR(found[2].likelihood.sum, own[2].likelihood.sum, 1e-4) << "a window alone moves as a whole";
  EXPECT_EQ(found[3].likelihood.sum, own[3].likelihood.sum) << "nothing was evicted";
}

TEST(Perplexity, NeedsOfTheLastQueriesCannotBeStreamed) {
  const KvShape shape = model().shape(1);
  for (const char* name : {"streaming_llm", "knorm", "h2o", "random"})
    EXPECT_TRUE(can_stream(*make_policy(name), shape)) << name;
  for (const char* name : {"snapkv", "tova", "cake", "h2o@kvcache-factory"})
    EXPECT_FALSE(can_stream(*make_policy(name), shape)) << name;
}

struct Refused {
  std::string protocol, options, code;
  int exit;
};

class PerplexityCommand : public Program {
 protected:
  // `perplexity PROTOCOL MODEL OPTIONS` -> exit code.
  int ask(const std::string& protocol, const std::string& options) const {
    return call("perplexity " + protocol + " " + model_ + " --threads 1 " + options);
  }

  void expect_refused(const std::vector<Refused>& cases) const {
    for (const auto& [protocol, options, code, exit] : cases) {
      EXPECT_EQ(ask(protocol, options), exit) << protocol << " " << options;
      EXPECT_TRUE(said().starts_with("error[" + code + "]")) << protocol << " " << options << ": " << said();
      EXPECT_EQ(std::ranges::count(said(), '\n'), 1) << said();
    }
  }

  std::string model_ = EVICTBENCH_SOURCE_DIR "/tests/models/goldens/llama-gqa4-tied-old";
};

TEST_F(PerplexityCommand, FullBudgetsAreTheFullCache) {
  const std::string ids = "--ids 1,5,9,33,2,7,8,40,11,3,6,6,12,1 --json ";
  ASSERT_EQ(
      ask("evicted", ids + "--prefill 6 10 --continue 4 --policy knorm 'snapkv{window=2}' --budget 3 99"), 0)
      << said();
  EXPECT_EQ(nlohmann::json::parse(said()).at("bos"), true) << "the model's is 1";
  const auto rows = nlohmann::json::parse(said()).at("rows");
  ASSERT_EQ(rows.size(), 10u) << "2 lengths, full and 2 policies at 2 budgets";
  for (const std::size_t length : {0u, 5u}) {
    EXPECT_EQ(rows[length].at("policy"), "full");
    for (const std::size_t row : {2u, 4u}) EXPECT_EQ(rows[length + row].at("nll"), rows[length].at("nll"));
    EXPECT_EQ(rows[length + 1].at("kept"), 2 * 2 * 3);
    EXPECT_NE(rows[length + 1].at("nll"), rows[length].at("nll"));
  }
}

TEST_F(PerplexityCommand, ChunksAreWholeWindows) {
  const std::string ids = "--ids 1,5,9,33,2,7,8,40,11,3,6,6,12,1 --json --window 4 ";
  ASSERT_EQ(ask("chunks", ids), 0) << said();
  const auto chunks = nlohmann::json::parse(said()).at("rows").at(0);
  ASSERT_EQ(ask("sliding", ids + "--tokens 12 --stride 4"), 0) << said();
  const auto sliding = nlohmann::json::parse(said()).at("rows").at(0);
  EXPECT_EQ(chunks.at("tokens"), 14);
  EXPECT_EQ(chunks.at("windows"), 3);
  EXPECT_EQ(chunks.at("scored"), 9);
  EXPECT_EQ(chunks.at("nll"), sliding.at("nll"));
}

TEST_F(PerplexityCommand, RollingCountsWordsAndBytesOfThePageAsItWas) {
  model_ = EVICTBENCH_SOURCE_DIR "/models/tiny-recall";
  const std::string page = " = One = \n \n Some words , in 1 @,@ 000 places . \n";
  const std::string plain = folder_.write("plain.txt", " = One =\n\nSome words, in 1,000 places. ");
  const std::string file = folder_.write("wiki.txt", page + " = Two = \n");
  ASSERT_EQ(ask("rolling", "--json --format wikitext --documents 1 --text-file " + file), 0) << said();
  const auto wiki = nlohmann::json::parse(said());
  ASSERT_EQ(ask("rolling", "--json --text-file " + plain), 0) << said();
  const auto text = nlohmann::json::parse(said()).at("rows").at(0);
  const auto row = wiki.at("rows").at(0);
  EXPECT_EQ(wiki.at("prefix"), 1);
  EXPECT_EQ(row.at("documents"), 1);
  EXPECT_EQ(row.at("words"),
            14);  // = One = Some words , in 1 @,@ 000 places . and an empty one before and behind
  EXPECT_EQ(row.at("bytes"), page.size() - 1);
  EXPECT_EQ(text.at("nll"), row.at("nll"));
  const double nll = row.at("nll").get<double>() * row.at("scored").get<double>();
  EXPECT_NEAR(row.at("word_perplexity").get<double>(), std::exp(nll / 14), 1e-9 * std::exp(nll / 14));
  EXPECT_NEAR(row.at("bits_per_byte").get<double>(),
              nll / static_cast<double>(page.size() - 1) / std::log(2.0), 1e-12);
  EXPECT_NEAR(row.at("byte_perplexity").get<double>(), std::exp2(row.at("bits_per_byte").get<double>()),
              1e-12);
}

TEST_F(PerplexityCommand, SlotsReachBeyondTheContext) {
  std::string ids = "--ids 1";  // 1,100 of them; the model's context is 1,024
  for (int i = 1; i < 1100; ++i) ids += "," + std::to_string(i * 7 % 71);
  EXPECT_EQ(ask("streaming", ids + " --policy streaming_llm --budget 8"), 2);
  EXPECT_TRUE(said().starts_with("error[E-CF-10]")) << said();
  EXPECT_EQ(ask("streaming", ids + " --positions slots --policy full"), 2);
  EXPECT_EQ(ask("streaming", ids + " --positions slots --policy streaming_llm --budget 1024"), 2);
  ASSERT_EQ(
      ask("streaming", ids + " --positions slots --policy streaming_llm --budget 8 --tokens 20 1100 --json"),
      0)
      << said();
  const auto rows = nlohmann::json::parse(said()).at("rows");
  ASSERT_EQ(rows.size(), 3u) << "the full cache ends with the context";
  EXPECT_EQ(rows[0].at("policy"), "full");
  EXPECT_EQ(rows[2].at("scored"), 1099);
  EXPECT_TRUE(rows[2].at("delta_nll").is_null());
}

TEST_F(PerplexityCommand, BadOptionsGetOneLine) {
  const std::string three = "--ids 5,6,7 ", point = " --policy knorm --budget 2";
  std::vector<Refused> cases{
      {"sliding", "--ids 5", "E-PX-02", 4},
      {"sliding", "", "E-CL-02", 2},
      {"sliding", "--ids 5,,6", "E-CL-01", 2},
      {"sliding", "--ids 5,71", "E-CL-01", 2},
      {"sliding", "--ids 5,99999999999", "E-CL-01", 2},
      {"sliding", three + "--text x", "E-CL-02", 2},
      {"sliding", three + "--tokens 4", "E-PX-01", 2},
      {"sliding", three + "--tokens 1", "E-CL-02", 2},
      {"sliding", three + "--tokens 99999999999999999999", "E-CL-02", 2},
      {"sliding", three + "--tokens nan", "E-CL-02", 2},
      {"sliding", three + "--window 2 --stride 3", "E-PX-01", 2},
      {"sliding", three + "--stride 0", "E-CL-02", 2},
      {"sliding", three + "--stride 2.5", "E-CL-02", 2},
      {"sliding", three + "--window 1", "E-CL-02", 2},
      {"sliding", three + "--window -2", "E-CL-02", 2},
      {"sliding", three + "--window 1025", "E-CF-10", 2},
      {"sliding", three + "--window 2147483647", "E-CF-10", 2},
      {"sliding", three + "--window 2147483648", "E-CL-02", 2},
      {"sliding", three + "--budget 2", "E-CL-02", 2},
      {"sliding", three + "--threads -1", "E-CL-02", 2},
      {"sliding", three + "--device tpu", "E-CL-02", 2},
      {"chunks", three + "--window 4", "E-PX-01", 2},
      {"chunks", three + "--window 2 --stride 1", "E-CL-02", 2},
      {"chunks", three, "E-PX-01", 2},
      {"rolling", "", "E-CL-02", 2},
      {"rolling", three, "E-CL-02", 2},
      {"streaming", three + "--policy snapkv --budget 2", "E-PX-01", 2},
      {"streaming", three + "--policy full --positions absolute", "E-CL-02", 2},
      {"streaming", three + "--positions slots --policy tova --budget 2", "E-PX-01", 2},
      {"streaming", three, "E-CL-02", 2},
      {"evicted", three + "--prefill 3 --continue 1" + point, "E-PX-01", 2},
      {"evicted", three + "--prefill 2 --continue 2147483647" + point, "E-PX-01", 2},
      {"evicted", three + "--prefill 2 --continue 0" + point, "E-CL-02", 2},
      {"evicted", three + "--prefill 1 --continue 1" + point, "E-CL-02", 2},
      {"evicted", three + point, "E-CL-02", 2},
      {"evicted", three + "--prefill 2 --continue 1 --policy knorm", "E-CL-01", 2},
      {"evicted", three + "--prefill 2 --continue 1 --policy no_such --budget 2", "E-PO-01", 2},
      {"evicted", three + "--prefill 2 --continue 1 --policy 'adakv{alpha=nan}' --budget 2", "E-PO-03", 2},
      {"evicted", three + "--prefill 2 --continue 1 --policy 'adakv{alpha=' --budget 2", "E-PO-04", 2},
      {"evicted", three + "--prefill 2 --continue 1 --policy 'headkv{head_scores=/absent}' --budget 2",
       "E-HS-F01", 4},
  };
  for (const char* budget : {"0", "-1", "0.5", "nan", "inf", "1e400", "2147483648", "''", "2x"})
    cases.push_back(
        {"evicted", three + "--prefill 2 --continue 1 --policy knorm --budget " + budget, "E-CL-02", 2});
  expect_refused(cases);
}

TEST_F(PerplexityCommand, BadTextsGetOneLine) {
  model_ = EVICTBENCH_SOURCE_DIR "/models/tiny-recall";
  const std::string huge = folder_.write("huge", "");
  std::filesystem::resize_file(huge, std::uintmax_t{1} << 40);  // a hole
  const std::pair<std::string, std::string> files[] = {
      {"/absent", "E-TX-F01"},
      {folder_.path(), "E-TX-F03"},
      {"/dev/zero", "E-TX-F04"},
      {folder_.write("latin", "caf\xe9 au lait"), "E-TX-01"},
      {folder_.write("cut", "half a character \xe2\x82"), "E-TX-01"},
      {folder_.write("gzip", "\x1f\x8b\x08 and more"), "E-TX-F13"},
      {folder_.write("page", "<!DOCTYPE html><html></html>"), "E-TX-F14"},
      {folder_.write("empty", ""), "E-TX-02"},
      {huge, "E-TX-F08"},
  };
  const std::string some = folder_.write("some", " = A = \n\n = B = \n");
  std::vector<Refused> cases;
  for (const auto& [file, code] : files)
    for (const std::string protocol :
         {"sliding --no-special", "rolling --no-special", "streaming --policy full --no-special"})
      cases.push_back({protocol, "--text-file " + file,
                       protocol.starts_with("rolling") && code == "E-TX-02" ? "E-PX-02" : code, 4});
  cases.push_back({"sliding", "--text ''", "E-PX-02", 4});  // a BOS alone
  cases.push_back({"sliding", "--no-special --text ''", "E-CL-01", 2});
  cases.push_back({"sliding", "--text \"$(printf 'caf\\351')\"", "E-TX-01", 2});
  cases.push_back({"rolling", "--format wikitext --documents 3 --text-file " + some, "E-PX-01", 2});
  cases.push_back({"rolling", "--format html --text-file " + some, "E-CL-02", 2});
  cases.push_back({"rolling", "--documents 0 --text-file " + some, "E-CL-02", 2});
  cases.push_back({"rolling", "--prefix 1536 --text-file " + some, "E-PX-01", 2});
  cases.push_back({"rolling", "--window 4097 --text-file " + some, "E-CF-10", 2});
  expect_refused(cases);
  model_ = "/absent";
  EXPECT_EQ(ask("sliding", "--text 'a b c'"), 4);
}

TEST_F(PerplexityCommand, AnAnswerThatIsNotTakenIsAnError) {
  for (const char* where : {">&-", ">/dev/full"})
    for (const char* form : {"", " --json"}) {
      const std::string line = EVICTBENCH_BINARY + (" perplexity sliding " + model_) +
                               " --threads 1 --ids 5,6,7" + form + " 2>" + (folder_ / "errors ") + where;
      const int status = std::system(line.c_str());
      EXPECT_EQ(WEXITSTATUS(status), 6) << line;
      EXPECT_TRUE(text("errors").starts_with("error[E-OUT-10] standard output: ")) << text("errors");
      EXPECT_EQ(std::ranges::count(text("errors"), '\n'), 1);
    }
}

TEST_F(PerplexityCommand, ASignalStopsItWithOneLine) {
  std::string long_text;
  for (int i = 0; i < 6000; ++i) long_text += "word ";
  const std::string file = folder_.write("long.txt", long_text);
  for (const auto& [signal, code] : {std::pair{"INT", 130}, {"TERM", 143}}) {
    // Windows of 1,024 tokens at every token: hours. The signal is sent once the program listens to it.
    const std::string line =
        EVICTBENCH_BINARY " perplexity sliding " EVICTBENCH_SOURCE_DIR
                          "/models/tiny-recall --threads 1 --window 1024 --stride 1 --text-file " +
        file + " >" + (folder_ / "said") + " 2>" + (folder_ / "errors") +
        " & p=$!; for i in $(seq 3000); do grep -q 'SigCgt:.*4..2$' /proc/$p/status && break; "
        "sleep 0.01; done; kill -" +
        signal + " $p; wait $p";
    const int status = std::system(line.c_str());
    EXPECT_EQ(WEXITSTATUS(status), code);
    EXPECT_EQ(text("errors"), std::string("stopped by SIG") + signal +
                                  "; nothing is stored. Run the same command to begin anew.\n");
    EXPECT_EQ(text("said").find("nan"), std::string::npos);
  }
}

}  // namespace
}  // namespace evictbench
