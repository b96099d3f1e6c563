// Scores and rankings on the CUDA device: the same as the CPU's, bit for bit. What these ought to be is tested in
// tests/core/score_ops_test.cpp.
#include "core/cpu/score_ops.h"

#include <cmath>
#include <functional>
#include <limits>

#include "core/cuda/ops.h"
#include "core/cuda/sort.h"
#include "tests/support/cuda.h"
#include "tests/support/cuda_rows.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

using Score = CudaTest;

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

int draw(std::mt19937& rng, int least, int most) { return std::uniform_int_distribution(least, most)(rng); }

// Many ties and zeros of both signs, or all different, huge, tiny and infinite.
float draw_score(std::mt19937& rng, bool ties) {
  if (ties) return static_cast<float>(draw(rng, -3, 3)) * (draw(rng, 0, 1) ? 0.5f : -0.5f);
  const float wild[] = {kInf, -kInf, 1e-44f, -1e-44f, std::numeric_limits<float>::max()};
  if (draw(rng, 0, 30) == 0) return wild[draw(rng, 0, 4)];
  return std::normal_distribution<float>()(rng);
}

struct Case {
  KvShape shape;
  std::vector<float> numbers;         // [L, heads, T]
  std::vector<std::int32_t> lengths;  // [L * heads]

  Case(std::mt19937& rng, int layers, int heads, int tokens, bool ties)
      : shape{layers, heads, heads, 4, tokens},
        numbers(static_cast<std::size_t>(layers * heads) * static_cast<std::size_t>(tokens)) {
    for (float& x : numbers) x = draw_score(rng, ties);
    for (int i = 0; i < layers * heads; ++i)
      lengths.push_back(draw(rng, 0, 1) ? tokens : draw(rng, 0, tokens));
  }
  Scores on(Device& device) const {
    Scores scores = scores_of(shape, numbers, device);
    scores.lengths = lengths;
    return scores;
  }
};

Case draw_case(std::mt19937& rng, int trial) {
  return {rng, draw(rng, 1, 3), draw(rng, 1, 6), draw(rng, 1, 90), trial % 2 == 0};
}

Protect draw_protect(std::mt19937& rng) {
  return {draw(rng, 0, 2) * draw(rng, 0, 4),
          draw(rng, 0, 9) == 0 ? 1 << 30 : draw(rng, 0, 2) * draw(rng, 0, 12)};
}

TEST_F(Score, NegatedAndReducedAsTheCpuDoes) {
  CudaDevice card(DType::kF32);
  in_every_order([&] {
    std::mt19937 rng(1);
    for (int trial = 0; trial < 12; ++trial) {
      const int G = draw(rng, 1, 3), members = draw(rng, 1, 4), T = trial % 3 ? draw(rng, 1, 70) : 64;
      Case c(rng, draw(rng, 1, 2), G * members, T, trial % 2 == 0);
      if (trial > 8) c.numbers[0] = c.numbers.back() = kNaN;  // stays one
      const Scores cpu = c.on(host()), cuda = c.on(card);
      EXPECT_EQ(bits_of(cuda::negate(card, cuda.values)), bits_of(cpu::negate(host(), cpu.values)));
      for (const Grouping grouping : {Grouping::kContiguous, Grouping::kStrided})
        for (const HeadReduce how : {HeadReduce::kMean, HeadReduce::kMax}) {
          const std::vector<float>
              got = cuda::reduce_heads(card, cuda.values, G, how, grouping).to_host<float>(),
              wanted = cpu::reduce_heads(host(), cpu.values, G, how, grouping).to_host<float>();
          ASSERT_EQ(got.size(), wanted.size());
          for (std::size_t i = 0; i < got.size(); ++i)
            ASSERT_TRUE(std::isnan(wanted[i]) ? std::isnan(got[i])
                                              : std::bit_cast<int>(got[i]) == std::bit_cast<int>(wanted[i]));
        }
    }
  });
}

TEST_F(Score, PooledAsTheCpuDoes) {
  CudaDevice card(DType::kF32);
  in_every_order([&] {
    std::mt19937 rng(2);
    for (int trial = 0; trial < 30; ++trial) {
      const Case c = draw_case(rng, trial);
      const int kernel = 2 * draw(rng, 0, trial % 5 == 0 ? 100 : 8) + 1,
                window = draw(rng, 0, 1) * draw(rng, 0, 40);
      for (const Pool how : {Pool::kMax, Pool::kMean}) {
        const std::vector<float> got = cuda::pool(card, c.on(card), how, kernel, window).to_host<float>(),
                                 wanted =
                                     cpu::pool(host(), c.on(host()), how, kernel, window).to_host<float>();
        ASSERT_EQ(got.size(), wanted.size());
        for (std::size_t i = 0; i < got.size(); ++i)  // the mean of both infinities is NaN, of some sign
          ASSERT_TRUE(std::isnan(wanted[i]) ? std::isnan(got[i])
                                            : std::bit_cast<int>(got[i]) == std::bit_cast<int>(wanted[i]))
              << "trial " << trial << " element " << i;
      }
    }
  });
}

// Rank, contest and prefix of one case on both devices.
void compare_rankings(Device& card, const Case& c, std::mt19937& rng, Protect protect) {
  const Scores cpu = c.on(host()), cuda = c.on(card);
  const Ranking wanted{c.shape, cpu::rank(host(), cpu, protect), c.lengths, protect},
      got{c.shape, cuda::rank(card, cuda, protect), c.lengths, protect};
  ASSERT_EQ(got.order.to_host<std::int32_t>(), wanted.order.to_host<std::int32_t>());

  std::vector<std::int64_t> take;
  for (int layer = 0; layer < c.shape.layers; ++layer)
    take.push_back(draw(rng, -1, c.shape.q_heads * c.shape.tokens + 5));
  EXPECT_EQ(cuda::contest(card, cuda, got, take), cpu::contest(host(), cpu, wanted, take));

  std::vector<std::int32_t> shares;
  for (const std::int32_t length : c.lengths) shares.push_back(draw(rng, 0, length));
  EXPECT_EQ(cuda::prefix(card, got.order, shares), cpu::prefix(host(), wanted.order, shares));
}

TEST_F(Score, RankedAsTheCpuDoes) {
  CudaDevice card(DType::kF32);
  in_every_order([&] {
    std::mt19937 rng(3);
    for (int trial = 0; trial < 60; ++trial) {
      SCOPED_TRACE(trial);
      const Case c = draw_case(rng, trial);
      compare_rankings(card, c, rng, draw_protect(rng));
    }
  });
}

TEST_F(Score, RankedAsTheCpuDoesInLongRows) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(4);
  for (const int tokens : {65536, 131072}) {
    const Case c(rng, 2, 2, tokens, tokens == 65536);
    compare_rankings(card, c, rng, {4, 32});
  }
}

TEST_F(Score, RankedAsTheCpuDoesInManyRows) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(5);
  const Case c(rng, 4, 300, 3, false);  // more heads than threads
  compare_rankings(card, c, rng, {});
}

TEST_F(Score, PiecesOfARankingAreThatRanking) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(6);
  const Case c(rng, 3, 5, 20, true);
  const auto wanted = cpu::rank(host(), c.on(host()), {2, 3}).to_host<std::int32_t>();
  for (const int keys : {1, 20, 47, 300, 1000})
    EXPECT_EQ(cuda::rank_in_pieces(card, c.on(card), {2, 3}, keys).to_host<std::int32_t>(), wanted);
}

TEST_F(Score, PrefixRefusesWhatALaneDoesNotHave) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(7);
  Case c(rng, 1, 2, 3, false);
  c.lengths = {3, 2};
  const Tensor order = cuda::rank(card, c.on(card), {});
  const auto prefix = [&](const std::vector<std::int32_t>& shares) {
    return cuda::prefix(card, order, shares);
  };
  EXPECT_EQ(prefix({0, 0}), std::vector<std::int32_t>());
  EXPECT_NO_THROW(prefix({3, 2}));
  for (const std::vector<std::int32_t>& shares : {std::vector{3, 3}, {4, 2}, {-1, 2}, {3}})
    EXPECT_THROW(prefix(shares), Error);
}

TEST_F(Score, NaNIsTheErrorOfTheCpu) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(8);
  Case c(rng, 2, 3, 40, true);
  std::ranges::fill(c.lengths, 40);
  for (const int at : {4 * 40 + 37, 4 * 40 + 7, 4 * 40 + 6, 5 * 40 + 1})
    c.numbers[static_cast<std::size_t>(at)] = kNaN;
  const auto message = [](const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& e) {
      return std::to_string(static_cast<int>(e.exit())) + e.what();
    }
    return std::string("none");
  };
  const Protect protect{.sinks = 7, .window = 2};
  in_every_order([&] {
    const std::string wanted = message([&] { cpu::rank(host(), c.on(host()), protect); });
    EXPECT_NE(wanted.find("layer 1, head 1, slot 7"), wanted.npos) << wanted;
    EXPECT_EQ(message([&] { cuda::rank(card, c.on(card), protect); }), wanted);
    for (const Pool how : {Pool::kMax, Pool::kMean})
      EXPECT_EQ(message([&] { cuda::pool(card, c.on(card), how, 3, 0); }),
                message([&] { cpu::pool(host(), c.on(host()), how, 3, 0); }));
    EXPECT_EQ(message([&] { cuda::rank(card, c.on(card), {.sinks = 0, .window = 40}); }), "none");
  });
}

}  // namespace
}  // namespace evictbench
