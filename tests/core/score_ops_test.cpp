// The score and rank operations of the CPU against slow references written from their comments.
#include "core/cpu/score_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

using Table = std::vector<std::vector<float>>;  // a row per (layer, head), as long as its slots in use

struct Case {
  KvShape shape;
  int heads = 0;  // rows to a layer
  std::vector<float> numbers;
  std::vector<std::int32_t> lengths;

  Scores on(Device& device) const {
    Scores scores = scores_of(shape, numbers, device);
    scores.lengths = lengths;
    return scores;
  }
  Table rows() const {
    Table rows;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const float* row = &numbers[i * static_cast<std::size_t>(shape.tokens)];
      rows.emplace_back(row, row + lengths[i]);
    }
    return rows;
  }
};

int draw(std::mt19937& rng, int least, int most) { return std::uniform_int_distribution(least, most)(rng); }

// Many ties, both zeros, negative numbers; now and then all different, huge, tiny or infinite.
float draw_score(std::mt19937& rng, bool ties) {
  if (ties) return static_cast<float>(draw(rng, -3, 3)) * (draw(rng, 0, 1) ? 0.5f : -0.5f);
  const float wild[] = {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                        1e-44f, -1e-44f, std::numeric_limits<float>::max()};
  if (draw(rng, 0, 30) == 0) return wild[draw(rng, 0, 4)];
  return std::normal_distribution<float>()(rng);
}

Case draw_case(std::mt19937& rng, bool ties) {
  const int G = draw(rng, 1, 4), H = G * draw(rng, 1, 4);
  Case c{{draw(rng, 1, 3), H, G, 4, draw(rng, 1, 90)}, draw(rng, 0, 1) ? G : H, {}, {}};
  const int rows = c.shape.layers * c.heads;
  for (int i = 0; i < rows * c.shape.tokens; ++i) c.numbers.push_back(draw_score(rng, ties));
  for (int i = 0; i < rows; ++i)
    c.lengths.push_back(draw(rng, 0, 1) ? c.shape.tokens : draw(rng, 0, c.shape.tokens));
  return c;
}

// What is kept before any score is looked at, in the order in which a budget takes it.
std::vector<std::int32_t> protected_slots(int length, Protect protect) {
  std::vector<std::int32_t> slots;
  for (int t = 0; t < length && t < protect.sinks; ++t) slots.push_back(t);
  const int sinks = static_cast<int>(slots.size());
  for (int t = length - 1; t >= sinks && t > length - 1 - protect.window; --t) slots.push_back(t);
  return slots;
}

std::vector<std::int32_t> ranked(const std::vector<float>& row, Protect protect) {
  std::vector<std::int32_t> order = protected_slots(static_cast<int>(row.size()), protect);
  const auto forced = std::ssize(order);
  for (std::int32_t t = 0; t < std::ssize(row); ++t)
    if (std::find(order.begin(), order.begin() + forced, t) == order.begin() + forced) order.push_back(t);
  std::stable_sort(order.begin() + forced, order.end(), [&](std::int32_t a, std::int32_t b) {
    return row[static_cast<std::size_t>(a)] > row[static_cast<std::size_t>(b)];
  });
  return order;
}

Protect draw_protect(std::mt19937& rng) {
  return {draw(rng, 0, 2) * draw(rng, 0, 4),
          draw(rng, 0, 9) == 0 ? 1 << 30 : draw(rng, 0, 2) * draw(rng, 0, 12)};
}

TEST(ScoreOps, RankMatchesAStableSort) {
  std::mt19937 rng(1);
  for (int trial = 0; trial < 400; ++trial) {
    const Case c = draw_case(rng, trial % 2 == 0);
    const Protect protect = draw_protect(rng);
    const Tensor order = cpu::rank(host(), c.on(host()), protect);
    const Table rows = c.rows();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::int32_t* got = order.row<std::int32_t>(static_cast<std::ptrdiff_t>(i));
      EXPECT_EQ(std::vector(got, got + c.lengths[i]), ranked(rows[i], protect))
          << "trial " << trial << " row " << i;
    }
  }
}

TEST(ScoreOps, RankOfALongRow) {
  std::mt19937 rng(2);
  Case c{{1, 1, 1, 4, 70000}, 1, {}, {70000}};
  for (int i = 0; i < 70000; ++i) c.numbers.push_back(draw_score(rng, i % 3 == 0));
  const Protect protect{4, 32};
  EXPECT_EQ(cpu::rank(host(), c.on(host()), protect).to_host<std::int32_t>(), ranked(c.rows()[0], protect));
}

TEST(ScoreOps, ZerosOfBothSignsTie) {
  const Case c{{1, 1, 1, 4, 4}, 1, {-0.0f, 0.0f, -0.0f, 0.0f}, {4}};
  EXPECT_EQ(cpu::rank(host(), c.on(host()), {}).to_host<std::int32_t>(),
            (std::vector<std::int32_t>{0, 1, 2, 3}));
}

TEST(ScoreOps, ContestTakesTheBestOfTheUnion) {
  struct Entry {
    float score;
    int head;
  };
  std::mt19937 rng(3);
  for (int trial = 0; trial < 400; ++trial) {
    const Case c = draw_case(rng, trial % 4 != 0);
    const Scores scores = c.on(host());
    const Protect protect = draw_protect(rng);
    const Ranking ranking{c.shape, cpu::rank(host(), scores, protect), c.lengths, protect};
    std::vector<std::int64_t> take;
    for (int layer = 0; layer < c.shape.layers; ++layer)
      take.push_back(draw(rng, 0, c.heads * c.shape.tokens + 5));

    std::vector<std::int32_t> expected(c.lengths.size());
    const Table rows = c.rows();
    for (int layer = 0; layer < c.shape.layers; ++layer) {
      std::vector<Entry> all;
      for (int head = 0; head < c.heads; ++head) {
        const auto& row = rows[static_cast<std::size_t>(layer * c.heads + head)];
        const auto forced = protected_slots(static_cast<int>(row.size()), protect);
        for (std::int32_t t = 0; t < std::ssize(row); ++t)
          if (std::ranges::find(forced, t) == forced.end())
            all.push_back({row[static_cast<std::size_t>(t)], head});
      }
      std::ranges::stable_sort(all, std::greater{}, &Entry::score);  // ties stay with the lower head
      const auto wins = std::min<std::int64_t>(take[static_cast<std::size_t>(layer)], std::ssize(all));
      for (std::int64_t i = 0; i < wins; ++i)
        ++expected[static_cast<std::size_t>(layer * c.heads + all[static_cast<std::size_t>(i)].head)];
    }
    EXPECT_EQ(cpu::contest(host(), scores, ranking, take), expected) << "trial " << trial;
  }
}

TEST(ScoreOps, PrefixIsSorted) {
  std::mt19937 rng(4);
  for (int trial = 0; trial < 100; ++trial) {
    const Case c = draw_case(rng, true);
    const Tensor order = cpu::rank(host(), c.on(host()), draw_protect(rng));
    std::vector<std::int32_t> shares, expected;
    for (std::size_t i = 0; i < c.lengths.size(); ++i) {
      shares.push_back(draw(rng, 0, c.lengths[i]));
      const std::int32_t* first = order.row<std::int32_t>(static_cast<std::ptrdiff_t>(i));
      std::vector<std::int32_t> lane(first, first + shares[i]);
      std::ranges::sort(lane);
      expected.insert(expected.end(), lane.begin(), lane.end());
    }
    EXPECT_EQ(cpu::prefix(host(), order, shares), expected);
  }
}

TEST(ScoreOps, PrefixRefusesWhatALaneDoesNotHave) {
  const Case c{{1, 2, 2, 4, 3}, 2, {1, 2, 3, 4, 5, 6}, {3, 2}};
  const Tensor order = cpu::rank(host(), c.on(host()), {});
  EXPECT_NO_THROW(cpu::prefix(host(), order, std::vector<std::int32_t>{3, 2}));
  EXPECT_THROW(cpu::prefix(host(), order, std::vector<std::int32_t>{3, 3}), Error);
  EXPECT_THROW(cpu::prefix(host(), order, std::vector<std::int32_t>{4, 2}), Error);
  EXPECT_THROW(cpu::prefix(host(), order, std::vector<std::int32_t>{-1, 2}), Error);
  EXPECT_THROW(cpu::prefix(host(), order, std::vector<std::int32_t>{3}), Error);
}

TEST(ScoreOps, PoolMatchesItsDefinition) {
  std::mt19937 rng(5);
  for (int trial = 0; trial < 400; ++trial) {
    const Case c = draw_case(rng, trial % 2 == 0);
    const int kernel = 2 * draw(rng, 0, trial % 5 == 0 ? 100 : 8) + 1,
              window = draw(rng, 0, 1) * draw(rng, 0, 40);
    for (const Pool how : {Pool::kMax, Pool::kMean}) {
      const Table rows = c.rows();
      std::vector<float> expected(c.numbers.size());  // zero from the window on
      bool infinite = false;
      for (std::size_t i = 0; i < rows.size(); ++i)
        for (int t = 0, past = c.lengths[i] - window; t < past; ++t) {
          float sum = 0, most = -std::numeric_limits<float>::infinity();
          for (int j = std::max(0, t - kernel / 2); j <= std::min(past - 1, t + kernel / 2); ++j) {
            sum += rows[i][static_cast<std::size_t>(j)];
            most = std::max(most, rows[i][static_cast<std::size_t>(j)]);
          }
          const float pooled = how == Pool::kMax ? most : sum / static_cast<float>(kernel);
          infinite |= std::isnan(pooled);
          expected[i * static_cast<std::size_t>(c.shape.tokens) + static_cast<std::size_t>(t)] = pooled;
        }
      if (infinite) continue;  // inf - inf has no mean
      EXPECT_EQ(cpu::pool(host(), c.on(host()), how, kernel, window).to_host<float>(), expected)
          << "trial " << trial << " kernel " << kernel << " window " << window;
    }
  }
}

TEST(ScoreOps, ReduceHeadsMatchesItsDefinition) {
  std::mt19937 rng(6);
  for (int trial = 0; trial < 200; ++trial) {
    const int L = draw(rng, 1, 3), G = draw(rng, 1, 4), each = draw(rng, 1, 4), T = draw(rng, 1, 40);
    const KvShape shape{L, G * each, G, 4, T};
    std::vector<float> numbers;
    for (int i = 0; i < L * G * each * T; ++i) numbers.push_back(std::normal_distribution<float>()(rng));
    const Scores scores = scores_of(shape, numbers);
    for (const Grouping grouping : {Grouping::kContiguous, Grouping::kStrided})
      for (const HeadReduce how : {HeadReduce::kMean, HeadReduce::kMax}) {
        std::vector<float> expected;
        for (int layer = 0; layer < L; ++layer)
          for (int b = 0; b < G; ++b)
            for (int t = 0; t < T; ++t) {
              float sum = 0, most = -std::numeric_limits<float>::infinity();
              for (int h = 0; h < G * each; ++h) {
                if ((grouping == Grouping::kContiguous ? h / each : h % G) != b) continue;
                const float x = numbers[static_cast<std::size_t>((layer * G * each + h) * T + t)];
                sum += x;
                most = std::max(most, x);
              }
              expected.push_back(how == HeadReduce::kMax ? most : sum / static_cast<float>(each));
            }
        EXPECT_EQ(cpu::reduce_heads(host(), scores.values, G, how, grouping).to_host<float>(), expected);
      }
  }
}

TEST(ScoreOps, NegateTurnsEverySign) {
  const Case c{{1, 1, 1, 4, 3}, 1, {1.5f, -2.0f, 0.25f}, {3}};
  EXPECT_EQ(cpu::negate(host(), c.on(host()).values).to_host<float>(),
            (std::vector<float>{-1.5f, 2.0f, -0.25f}));
}

TEST(ScoreOps, NaNIsAnErrorThatSaysWhere) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  Case c{{2, 2, 2, 4, 3}, 2, std::vector<float>(12, 1.0f), {3, 3, 3, 3}};
  c.numbers[2 * 3 + 1] = kNaN;  // layer 1, head 0, slot 1
  const auto says_where = [](const Error& e) {
    return e.exit() == Exit::kInput && std::strstr(e.what(), "layer 1, head 0, slot 1") != nullptr;
  };
  const auto refused = [&](const auto& work) {
    try {
      work();
    } catch (const Error& e) {
      return says_where(e);
    }
    return false;
  };
  EXPECT_TRUE(refused([&] { cpu::rank(host(), c.on(host()), {}); }));
  EXPECT_TRUE(refused([&] { cpu::pool(host(), c.on(host()), Pool::kMax, 3, 0); }));
  EXPECT_TRUE(refused([&] { cpu::pool(host(), c.on(host()), Pool::kMean, 3, 0); }));
  EXPECT_NO_THROW(cpu::rank(host(), c.on(host()), {.window = 2}));  // a protected slot has no score

  for (const HeadReduce how : {HeadReduce::kMean, HeadReduce::kMax})  // passed on to whoever ranks
    for (const std::size_t at : {std::size_t{0}, std::size_t{3}}) {
      Case pair{{1, 2, 1, 4, 3}, 2, std::vector<float>(6, 1.0f), {3, 3}};
      pair.numbers[at] = kNaN;
      const Tensor out = cpu::reduce_heads(host(), pair.on(host()).values, 1, how, Grouping::kContiguous);
      EXPECT_TRUE(std::isnan(out.to_host<float>()[0]));
    }
}

TEST(ScoreOps, SameBitsAtEveryThreadCount) {
  std::mt19937 rng(7);
  Case c{{4, 8, 4, 4, 333}, 8, {}, std::vector<std::int32_t>(32, 333)};
  for (int i = 0; i < 32 * 333; ++i) c.numbers.push_back(std::normal_distribution<float>()(rng));
  const Protect protect{4, 16};
  const std::vector<std::int64_t> take{100, 0, 77, 5000};
  std::vector<float> pooled;
  std::vector<std::int32_t> order, won, kept;
  for (int threads = 1; threads <= 4; ++threads) {
    CpuDevice device(threads);
    const Scores scores = c.on(device);
    const Tensor grouped =
        cpu::reduce_heads(device, scores.values, 4, HeadReduce::kMean, Grouping::kContiguous);
    const Scores lanes = scores_of(c.shape, grouped.to_host<float>(), device);
    const Scores smooth{c.shape, cpu::pool(device, lanes, Pool::kMean, 7, 16), lanes.lengths};
    const Ranking ranking{c.shape, cpu::rank(device, smooth, protect), lanes.lengths, protect};
    const auto winners = cpu::contest(device, smooth, ranking, take);
    const auto slots = cpu::prefix(device, ranking.order, winners);
    if (threads == 1) {
      pooled = smooth.values.to_host<float>(), order = ranking.order.to_host<std::int32_t>();
      won = winners, kept = slots;
    }
    EXPECT_EQ(smooth.values.to_host<float>(), pooled);
    EXPECT_EQ(ranking.order.to_host<std::int32_t>(), order);
    EXPECT_EQ(winners, won);
    EXPECT_EQ(slots, kept);
  }
}

}  // namespace
}  // namespace evictbench
