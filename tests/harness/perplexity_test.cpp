// Perplexity by its three protocols, against the scalar decoder with everything evicted masked out.
#include "harness/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/fixtures.h"
#include "tests/support/scalar_decoder.h"
#include "tests/support/temp_folder.h"

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

TEST(Perplexity, NeedsOfTheLastQueriesCannotBeStreamed) {
  const KvShape shape = model().shape(1);
  for (const char* name : {"streaming_llm", "knorm", "h2o", "random"})
    EXPECT_TRUE(can_stream(*make_policy(name), shape)) << name;
  for (const char* name : {"snapkv", "tova", "cake", "h2o@kvcache-factory"})
    EXPECT_FALSE(can_stream(*make_policy(name), shape)) << name;
}

class PerplexityCommand : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  }
  // `perplexity PROTOCOL MODEL OPTIONS` -> exit code; what it printed is in said().
  int call(const std::string& protocol, const std::string& options) {
    const std::string line = EVICTBENCH_BINARY + (" perplexity " + protocol) +
                             " " EVICTBENCH_SOURCE_DIR "/tests/models/goldens/llama-gqa4-tied-old " +
                             options + " >" + (folder_ / "said") + " 2>&1";
    return WEXITSTATUS(std::system(line.c_str()));
  }
  std::string said() const {
    std::ifstream in(folder_ / "said");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TempFolder folder_;
};

TEST_F(PerplexityCommand, FullBudgetsAreTheFullCache) {
  const std::string ids = "--ids 1,5,9,33,2,7,8,40,11,3,6,6,12,1 --json ";
  ASSERT_EQ(
      call("evicted", ids + "--prefill 6 10 --continue 4 --policy knorm 'snapkv{window=2}' --budget 3 99"), 0)
      << said();
  const auto rows = nlohmann::json::parse(said()).at("rows");
  ASSERT_EQ(rows.size(), 10u) << "2 lengths, full and 2 policies at 2 budgets";
  for (const std::size_t length : {0u, 5u}) {
    EXPECT_EQ(rows[length].at("policy"), "full");
    for (const std::size_t row : {2u, 4u}) EXPECT_EQ(rows[length + row].at("nll"), rows[length].at("nll"));
    EXPECT_EQ(rows[length + 1].at("kept"), 2 * 2 * 3);
    EXPECT_NE(rows[length + 1].at("nll"), rows[length].at("nll"));
  }
}

TEST_F(PerplexityCommand, BadInputGetsOneLine) {
  struct Case {
    std::string protocol, options, code;
    int exit;
  };
  for (const auto& [protocol, options, code, exit] : std::vector<Case>{
           {"sliding", "--ids 5", "E-PX-02", 4},
           {"sliding", "--ids 5,6,7 --tokens 4", "E-PX-01", 2},
           {"sliding", "--ids 5,6,7 --window 2 --stride 3", "E-PX-01", 2},
           {"sliding", "--ids 5,6,7 --window 99999999", "E-CF-10", 2},
           {"sliding", "--ids 5,6,7 --budget 2", "E-CL-02", 2},
           {"streaming", "--ids 5,6,7 --policy snapkv --budget 2", "E-PX-01", 2},
           {"evicted", "--ids 5,6,7 --prefill 3 --continue 1 --policy knorm --budget 2", "E-PX-01", 2},
           {"evicted", "--ids 5,6,7 --prefill 2 --continue 1 --policy knorm --budget 0", "E-CL-02", 2},
           {"evicted", "--ids 5,6,7 --prefill 2 --continue 1 --policy knorm", "E-CL-01", 2},
           {"evicted", "--ids 5,6,7 --policy knorm --budget 2", "E-CL-02", 2}}) {
    EXPECT_EQ(call(protocol, options), exit) << options;
    EXPECT_TRUE(said().starts_with("error[" + code + "]")) << options << ": " << said();
    EXPECT_EQ(std::ranges::count(said(), '\n'), 1) << said();
  }
}

}  // namespace
}  // namespace evictbench
