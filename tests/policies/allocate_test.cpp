// Division of budgets: exact to the entry, published as the papers' code has it, and what must not change a result.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "policies/registry.h"
#include "policies/stages.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

constexpr auto kPublished = Budget::Rule::kPublished;

int draw(std::mt19937& rng, int least, int most) { return std::uniform_int_distribution(least, most)(rng); }
double draw_real(std::mt19937& rng, double least, double most) {
  return std::uniform_real_distribution(least, most)(rng);
}
std::int64_t sum(std::span<const std::int32_t> shares) {
  return std::accumulate(shares.begin(), shares.end(), std::int64_t{0});
}

// One entry at a time: what apportion promises, said slowly.
Shares apportioned(const std::vector<double>& wanted, const Shares& caps, std::int64_t total) {
  Shares shares;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    shares.push_back(std::min(static_cast<std::int32_t>(std::floor(wanted[i])), caps[i]));
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return wanted[a] - std::floor(wanted[a]) > wanted[b] - std::floor(wanted[b]);
  });
  for (std::int64_t left = total - sum(shares), before = -1; left != before;) {
    before = left;
    for (const std::size_t i : order)
      if (left > 0 && shares[i] < caps[i]) ++shares[i], --left;
  }
  return shares;
}

// Three lanes want the same fraction of an entry, as sums that round differently: the lower lanes get it.
TEST(Apportion, EqualRemaindersGoToTheLowerLaneWhateverTheirRounding) {
  std::vector<double> wanted;
  for (const int won : {69, 39, 26, 34}) wanted.push_back(0 + ((1 - 0.2) * won + 0.2 * 42));
  const std::vector<std::int32_t> caps(4, 100);
  EXPECT_EQ(apportion(wanted, caps, 168), (Shares{64, 40, 29, 35}));
}

TEST(Apportion, MatchesOneEntryAtATime) {
  std::mt19937 rng(1);
  for (int trial = 0; trial < 10000; ++trial) {
    const int lanes = draw(rng, 1, 12);
    std::vector<double> wanted;
    Shares caps;
    double whole = 0;
    for (int i = 0; i < lanes; ++i) {
      wanted.push_back(draw(rng, 0, 1) ? draw(rng, 0, 40) / 4.0 : draw_real(rng, 0, 10));  // quarters tie
      caps.push_back(draw(rng, 0, 15));
      whole += std::min(std::floor(wanted.back()), static_cast<double>(caps.back()));
    }
    const std::int64_t total = static_cast<std::int64_t>(whole) + draw(rng, 0, 100);
    const Shares shares = apportion(wanted, caps, total);
    EXPECT_EQ(shares, apportioned(wanted, caps, total)) << "trial " << trial;
    EXPECT_EQ(sum(shares), std::min(total, sum(caps)));
  }
}

TEST(Apportion, TiesGoToTheLowerLane) {
  EXPECT_EQ(apportion(std::vector<double>{1.5, 1.5, 1.5, 1.5}, Shares{9, 9, 9, 9}, 6), (Shares{2, 2, 1, 1}));
  EXPECT_EQ(apportion(std::vector<double>{1.25, 1.75, 1.75, 1.25}, Shares{9, 9, 9, 9}, 6),
            (Shares{1, 2, 2, 1}));
  EXPECT_EQ(apportion(std::vector<double>{1.5, 1.5}, Shares{1, 9}, 3), (Shares{1, 2}));
}

TEST(Apportion, HugeTotalsAreQuick) {
  const Shares caps(1000, 1 << 30);
  const Shares shares = apportion(std::vector<double>(1000, 0.5), caps, std::int64_t{500} << 30);
  EXPECT_EQ(sum(shares), std::int64_t{500} << 30);
  EXPECT_EQ(apportion(std::vector<double>(1000, 0.5), caps, std::int64_t{1} << 60), caps);
}

TEST(Apportion, RefusesToTakeBack) { EXPECT_THROW(apportion(std::vector<double>{3.0}, Shares{9}, 2), Error); }

// A cache of any shape with scores in it: lanes of KV heads or of query heads, full or of different lengths.
struct Plan {
  Scores scores;
  Ranking ranking;
  double beta, alpha;
  Budget budget;

  explicit Plan(std::mt19937& rng) {
    const int G = draw(rng, 1, 4), group = draw(rng, 1, 3), heads = draw(rng, 0, 3) == 0 ? G * group : G;
    const KvShape shape{draw(rng, 1, 6), G * group, G, 4, draw(rng, 1, 70)};
    std::vector<float> table;
    for (int i = 0; i < shape.layers * heads * shape.tokens; ++i)
      table.push_back(draw(rng, 0, 1) ? static_cast<float>(draw(rng, 0, 4))
                                      : static_cast<float>(draw_real(rng, 0, 4)));
    scores = scores_of(shape, table);
    if (draw(rng, 0, 2) == 0)
      for (std::int32_t& length : scores.lengths) length = draw(rng, 0, shape.tokens);
    ranking = rank(scores, {draw(rng, 0, 1) * draw(rng, 0, 4), draw(rng, 0, 40)});
    beta = draw(rng, 0, 1) ? draw(rng, 1, 30) : draw_real(rng, 1, 30);
    alpha = draw(rng, 0, 1) ? draw(rng, 0, 10) / 10.0 : draw_real(rng, 0, 1);
    const int kind = draw(rng, 0, 2);
    budget = kind == 0   ? Budget{static_cast<double>(draw(rng, 0, shape.tokens + 5))}
             : kind == 1 ? Budget{draw_real(rng, 0, 1.2 * shape.tokens)}
                         : Budget::of_ratio(draw(rng, 0, 10) / 10.0, shape);
  }
};

void expect_fits(const Plan& plan, const Shares& shares) {
  ASSERT_EQ(shares.size(), plan.ranking.lengths.size());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    EXPECT_GE(shares[i], 0);
    EXPECT_LE(shares[i], plan.ranking.lengths[i]);
  }
}

TEST(Allocate, ExactBudgetsAreOffByNothing) {
  std::mt19937 rng(2);
  for (int trial = 0; trial < 10000; ++trial) {
    const Plan plan(rng);
    const std::int64_t total = std::min(plan.budget.total(plan.ranking.shape), sum(plan.ranking.lengths));
    const Shares even = uniform(plan.ranking, plan.budget),
                 sloped = pyramid(plan.ranking, plan.budget, plan.beta);
    for (const Shares* base : {&even, &sloped}) {
      expect_fits(plan, *base);
      EXPECT_EQ(sum(*base), total) << "trial " << trial;
      const Shares contested = adaptive(plan.scores, plan.ranking, *base, plan.budget, plan.alpha);
      expect_fits(plan, contested);
      const auto heads = static_cast<std::size_t>(plan.ranking.heads());
      for (std::size_t first = 0; first < base->size(); first += heads)  // the contest stays inside the layer
        EXPECT_EQ(sum(std::span(contested).subspan(first, heads)),
                  sum(std::span(*base).subspan(first, heads)))
            << "trial " << trial;
      EXPECT_EQ(take(plan.ranking, contested).size(), total);
    }
    if (HasFailure()) return;
  }
}

TEST(Allocate, PublishedBudgetsFit) {
  std::mt19937 rng(3);
  for (int trial = 0; trial < 2000; ++trial) {
    Plan plan(rng);
    plan.budget.rule = kPublished;
    const Shares even = uniform(plan.ranking, plan.budget),
                 sloped = pyramid(plan.ranking, plan.budget, plan.beta);
    for (const Shares* base : {&even, &sloped}) {
      expect_fits(plan, *base);
      expect_fits(plan, adaptive(plan.scores, plan.ranking, *base, plan.budget, plan.alpha));
    }
    if (HasFailure()) return;
  }
}

TEST(Allocate, PyramidsNeverRise) {
  std::mt19937 rng(4);
  for (int trial = 0; trial < 3000; ++trial) {
    Plan plan(rng);
    const auto heads = static_cast<std::size_t>(plan.ranking.heads());
    std::ranges::fill(plan.ranking.lengths, plan.ranking.shape.tokens);
    const Shares shares = pyramid(plan.ranking, plan.budget, plan.beta);
    for (std::size_t i = heads; i < shares.size(); ++i)
      EXPECT_LE(shares[i], shares[i - heads]) << "trial " << trial;
  }
}

// 5.1 in whole numbers, as the authors' repository computes it: entries of each layer.
Shares published_pyramid(int L, int N, int C, int W, int beta) {
  const int B = C - W, n = N - W;
  if (N < C) return Shares(static_cast<std::size_t>(L), N);
  if (N < 2 * B || L == 1) return Shares(static_cast<std::size_t>(L), C);
  int low = B / beta, high = 2 * B - low;
  if (high >= n) high = n, low = 2 * B - high;
  const int step = (high - low) / (L - 1);
  Shares shares;
  for (int layer = 0; layer < L; ++layer) shares.push_back(high - layer * step + W);
  return shares;
}

TEST(Allocate, PublishedPyramidsAreTheAuthors) {
  std::mt19937 rng(5);
  for (int trial = 0; trial < 5000; ++trial) {
    const int L = draw(rng, 1, 40), N = draw(rng, 2, 600), W = draw(rng, 1, 40), C = draw(rng, W + 1, 300),
              beta = draw(rng, 1, 30);
    const Ranking ranking{{L, 1, 1, 4, N},
                          Tensor(host(), DType::kI32, {L, 1, N}),
                          Shares(static_cast<std::size_t>(L), N),
                          {.window = W}};
    EXPECT_EQ(pyramid(ranking, {static_cast<double>(C), kPublished}, beta),
              published_pyramid(L, N, C, W, beta))
        << "L=" << L << " N=" << N << " C=" << C << " W=" << W << " beta=" << beta;
  }
}

// 7.2 said slowly: one contest per layer, then the blend, rounded half to even.
TEST(Allocate, PublishedBlendsAreTheAuthors) {
  std::mt19937 rng(6);
  for (int trial = 0; trial < 500; ++trial) {
    const int U = draw(rng, 1, 6), n = draw(rng, 1, 60), W = draw(rng, 0, 8), B = draw(rng, 1, n);
    const double alpha = draw(rng, 0, 10) / 10.0;
    const KvShape shape{1, U, U, 4, n + W};
    std::vector<float> table;
    for (int i = 0; i < U * (n + W); ++i) table.push_back(static_cast<float>(draw(rng, 0, 50)));
    std::vector<std::pair<float, int>> all;  // (score, head) of the past
    for (int u = 0; u < U; ++u)
      for (int t = 0; t < n; ++t) all.emplace_back(table[static_cast<std::size_t>(u * (n + W) + t)], u);
    std::ranges::stable_sort(all, [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<int> won(static_cast<std::size_t>(U));
    for (int i = 0; i < U * B; ++i) ++won[static_cast<std::size_t>(all[static_cast<std::size_t>(i)].second)];
    Shares expected;
    for (const int c : won)
      expected.push_back(W + static_cast<int>(std::lrint(c * (1 - alpha) + static_cast<int>(B * alpha))));

    const Scores scores = scores_of(shape, table);
    const Ranking ranking = rank(scores, {.window = W});
    const Budget budget{static_cast<double>(B + W), kPublished};
    EXPECT_EQ(adaptive(scores, ranking, uniform(ranking, budget), budget, alpha), expected)
        << "trial " << trial;
  }
}

// --- what must not change a result ------------------------------------------------------------------------------------

const KvShape kShape{2, 6, 2, 8, 80};

std::vector<float> whole_numbers(std::mt19937& rng) {  // [L, H, T]: sums are exact in any order
  std::vector<float> table;
  for (int i = 0; i < 2 * 6 * 80; ++i) table.push_back(static_cast<float>(draw(rng, 0, 255)));
  return table;
}

// The table with the query heads of every group in another order.
std::vector<float> permuted(const std::vector<float>& table, std::mt19937& rng) {
  std::vector<float> out;
  for (int first = 0; first < 12; first += 3) {
    int members[] = {first, first + 1, first + 2};
    std::ranges::shuffle(members, rng);
    for (const int row : members)
      out.insert(out.end(), table.begin() + row * 80, table.begin() + (row + 1) * 80);
  }
  return out;
}

Selection kept(const std::string& spec, const std::vector<float>& table, Budget budget) {
  const Observation seen(parts_of(kShape, {Stat::kWindowAttention, 8}, table));
  return make_policy(spec)->select(seen, std::span(&budget, 1))[0].selection;
}

const std::vector<std::string> kWindowPolicies{"snapkv{window=8}", "snapkv{window=8,pool=mean}",
                                               "pyramidkv{window=8}", "adakv{window=8}",
                                               "adakv{window=8,base=pyramidkv}"};

TEST(Metamorphic, OrderInsideAGroupDoesNotMatter) {
  std::mt19937 rng(7);
  for (int trial = 0; trial < 40; ++trial)
    for (const std::string& spec : kWindowPolicies) {
      const auto table = whole_numbers(rng);
      EXPECT_EQ(kept(spec, table, {20.5}), kept(spec, permuted(table, rng), {20.5})) << spec;
    }
}

TEST(Metamorphic, SumAndMeanOverTheWindowRankAlike) {
  std::mt19937 rng(8);
  for (const std::string& spec : kWindowPolicies) {
    const auto sums = whole_numbers(rng);
    std::vector<float> means;
    for (const float x : sums) means.push_back(x / 8);
    EXPECT_EQ(kept(spec, sums, {20.5}), kept(spec, means, {20.5})) << spec;
  }
}

TEST(Metamorphic, MeanPoolingCommutesWithGroups) {
  std::mt19937 rng(9);
  const Scores heads = scores_of(kShape, whole_numbers(rng));
  const auto rank_of = [](const Scores& scores) {
    return rank(scores, {.window = 8}).order.to_host<std::int32_t>();
  };
  // Kernel 1 and groups of 3 leave one rounding each way; a kernel of 3 would round twice in another order.
  EXPECT_EQ(rank_of(pool(group(heads), Pool::kMean, 1, 8)), rank_of(group(pool(heads, Pool::kMean, 1, 8))));
  EXPECT_NE(rank_of(pool(group(heads), Pool::kMax, 7, 8)), rank_of(group(pool(heads, Pool::kMax, 7, 8))));
}

TEST(Metamorphic, MoreBudgetNeverCostsALaneUniformly) {
  std::mt19937 rng(10);
  for (int trial = 0; trial < 2000; ++trial) {
    const Plan plan(rng);
    const Budget more{plan.budget.entries + draw_real(rng, 0, 3)};
    const Shares small = uniform(plan.ranking, plan.budget), large = uniform(plan.ranking, more);
    for (std::size_t i = 0; i < small.size(); ++i) EXPECT_LE(small[i], large[i]);
  }
}

}  // namespace
}  // namespace evictbench
