// Attention of every instruction path and kind of product gives the bits of a scalar reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/support/kernel_path.h"
#include "tests/support/scalar_attention.h"

namespace evictbench {
namespace {

struct Way {
  const cpu::Kernels* kernels;
  Products products;
  auto attend() const { return products == Products::kPairs ? kernels->attend_pairs : kernels->attend; }
};

std::vector<Way> ways() {
  std::vector<Way> all;
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    all.push_back({kernels, Products::kChains});
    if (kernels->attend_pairs) all.push_back({kernels, Products::kPairs});
  }
  return all;
}

class Attend : public testing::TestWithParam<Way> {};

std::vector<float> key_panels(int entries, int dim, Rng& rng) {
  std::vector<float> keys(size(padded(entries) * dim), 0.0f);
  for (int e = 0; e < entries; ++e)
    for (int d = 0; d < dim; ++d) keys[size(static_cast<int>(key_index(e, dim, d)))] = normals(1, rng)[0];
  return keys;
}

LaneData lane_of(int dim, std::vector<std::int32_t> base, std::vector<std::int32_t> tail, Rng& rng) {
  LaneData lane;
  lane.dim = dim;
  lane.base = static_cast<int>(base.size());
  lane.tail = static_cast<int>(tail.size());
  lane.base_keys = key_panels(lane.base, dim, rng);
  lane.tail_keys = key_panels(lane.tail, dim, rng);
  lane.base_values = normals(lane.base * dim, rng);
  lane.tail_values = normals(lane.tail * dim, rng);
  lane.positions = std::move(base);
  lane.positions.insert(lane.positions.end(), tail.begin(), tail.end());
  for (std::size_t e = 1; e <= lane.positions.size(); ++e)
    if (e == lane.positions.size() || lane.positions[e] / 128 != lane.positions[e - 1] / 128)
      lane.block_ends.push_back(static_cast<std::int32_t>(e));
  return lane;
}

std::vector<std::int32_t> dense(int first, int count) {
  std::vector<std::int32_t> positions(size(count));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

// `kept` of the positions [0, tokens), ascending.
std::vector<std::int32_t> ragged(int tokens, int kept, Rng& rng) {
  std::vector<std::int32_t> all = dense(0, tokens), positions;
  std::sample(all.begin(), all.end(), std::back_inserter(positions), kept, rng);
  return positions;
}

// The base of a lane in pairs, in vectors of exactly the size that a kernel may touch.
class LaneWords {
 public:
  LaneWords(const cpu::Kernels& kernels, const LaneData& lane)
      : keys_(size(padded(lane.base) * ((lane.dim + 1) / 2))),
        values_(size((lane.base + 1) / 2 * padded(lane.dim))) {
    kernels.pair_keys(lane.base_keys.data(), padded(lane.base) / 16, lane.dim, keys_.data());
    kernels.pair_values(lane.base_values.data(), lane.base, lane.dim, values_.data());
  }
  cpu::AttendLane of(const LaneData& lane) const {
    cpu::AttendLane view = lane.view();
    view.key_words = keys_.data();
    const auto is_odd = [](std::int32_t end) { return end % 2 != 0; };
    if (std::none_of(lane.block_ends.begin(), lane.block_ends.end() - 1, is_odd))
      view.value_words = values_.data();
    return view;
  }

 private:
  std::vector<float> keys_, values_;
};

// Row r sees the entries [from[r], seen[r]).
void check_attend(const Way& way, const LaneData& lane, const std::vector<int>& from,
                  const std::vector<int>& seen, Rng& rng) {
  const int rows = static_cast<int>(seen.size()), dim = lane.dim, entries = lane.base + lane.tail;
  int present = 0;
  for (int e = 0; e < entries; ++e) present += lane.has(e);
  std::vector<std::vector<float>> queries, out, probabilities;
  std::vector<float> log_sums(size(rows));
  for (int r = 0; r < rows; ++r) {
    queries.push_back(normals(dim, rng, 2));
    out.emplace_back(size(dim), 77.0f);
    probabilities.emplace_back(size(present), 77.0f);
  }
  std::vector<const float*> query;
  std::vector<float*> to, log_sum, probability;
  for (int r = 0; r < rows; ++r) {
    query.push_back(queries[size(r)].data());
    to.push_back(out[size(r)].data());
    log_sum.push_back(&log_sums[size(r)]);
    probability.push_back(probabilities[size(r)].data());
  }
  std::vector<float> scratch(cpu::attend_scratch(entries, dim, true), NAN);
  way.attend()(lane.view(),
               {rows, query.data(), from.data(), seen.data(), to.data(), log_sum.data(), probability.data()},
               dim, scratch.data());
  const auto out_of_all = out;
  scratch.assign(cpu::attend_scratch(entries, dim, false), NAN);  // span by span
  way.attend()(lane.view(),
               {rows, query.data(), from.data(), seen.data(), to.data(), log_sum.data(), nullptr}, dim,
               scratch.data());
  EXPECT_EQ(out, out_of_all);
  if (way.products == Products::kPairs) {  // from words that were made before
    const LaneWords words(*way.kernels, lane);
    for (auto& row : out) std::ranges::fill(row, 77.0f);
    way.attend()(words.of(lane),
                 {rows, query.data(), from.data(), seen.data(), to.data(), log_sum.data(), nullptr}, dim,
                 scratch.data());
    EXPECT_EQ(out, out_of_all);
  }
  for (int r = 0; r < rows; ++r) {
    const ScalarRow want =
        scalar_attention(lane, queries[size(r)], from[size(r)], seen[size(r)], way.products);
    const std::string what = "dim " + std::to_string(dim) + ", base " + std::to_string(lane.base) +
                             ", tail " + std::to_string(lane.tail) + ", row " + std::to_string(r) + " of " +
                             std::to_string(rows) + " seeing " + std::to_string(from[size(r)]) + " to " +
                             std::to_string(seen[size(r)]);
    expect_same(out[size(r)], want.out, what + ": out");
    expect_same({log_sums[size(r)]}, {want.log_sum}, what + ": log sum");
    expect_same(probabilities[size(r)], want.probabilities, what + ": probabilities");
  }
}

// Rows that see everything, and rows that see prefixes, never fewer than `least` entries.
void check_limits(const Way& way, const LaneData& lane, int least, Rng& rng) {
  const int entries = lane.base + lane.tail;
  for (const int rows : {1, 2, 3, 5, 6, 7, 11, 12, 13, 25, 48, cpu::kMaxRows}) {
    std::vector<int> seen(size(rows), entries);
    if (rows % 3 == 0)  // consecutive limits, as in a prefill
      for (int r = 0; r < rows; ++r) seen[size(r)] = std::max(least, entries - rows + 1 + r);
    if (rows % 3 == 1)
      for (int& n : seen) n = std::uniform_int_distribution<int>(least, entries)(rng);
    check_attend(way, lane, std::vector<int>(size(rows), 0), seen, rng);
    std::vector<int> from;  // windows, each with an entry that is there
    for (const int n : seen) {
      int last = n - 1;
      while (last > 0 && !lane.has(last)) --last;
      from.push_back(std::uniform_int_distribution<int>(0, last)(rng));
    }
    LaneData capped = lane;
    capped.softcap = 2;
    check_attend(way, rows % 2 == 0 ? lane : capped, from, seen, rng);
    if (testing::Test::HasFatalFailure()) return;
  }
}

constexpr int kDims[] = {8, 16, 24, 64, 80, 15};

TEST_P(Attend, OverADenseLane) {
  Rng rng(4);
  for (const int dim : kDims)
    for (const int entries : {1, 15, 16, 17, 127, 128, 129, 300, 520, 2100}) {
      check_limits(GetParam(), lane_of(dim, dense(0, entries), {}, rng), 1, rng);
      if (HasFatalFailure()) return;
    }
}

TEST_P(Attend,
       OverRunsThatStartInsideABlock) {  // sinks and a recent window: contiguous, off the block's start
  Rng rng(77);
  std::vector<std::int32_t> positions = dense(0, 4), window = dense(437, 84);
  positions.insert(positions.end(), window.begin(), window.end());
  check_limits(GetParam(), lane_of(24, positions, dense(521, 5), rng), 1, rng);
  check_limits(GetParam(), lane_of(24, dense(37, 60), {}, rng), 1, rng);
}

TEST_P(Attend, OverKeptPositions) {
  Rng rng(5);
  for (const int dim : kDims)
    for (const auto& [tokens, kept] :
         {std::pair{40, 7}, {300, 150}, {1000, 37}, {700, 690}, {5000, 100}, {5000, 2500}}) {
      check_limits(GetParam(), lane_of(dim, ragged(tokens, kept, rng), {}, rng), 1, rng);
      if (HasFatalFailure()) return;
    }
}

TEST_P(Attend, OverABaseAndATailInOneBlock) {
  Rng rng(6);
  for (const int dim : kDims)
    for (const auto& [tokens, kept, tail] : {std::tuple{200, 200, 1},
                                             {200, 200, 70},
                                             {130, 50, 140},
                                             {256, 100, 5},
                                             {3, 3, 20},
                                             {2000, 1500, 600}}) {
      check_limits(GetParam(), lane_of(dim, ragged(tokens, kept, rng), dense(tokens, tail), rng), 1, rng);
      if (HasFatalFailure()) return;
    }
  check_limits(GetParam(), lane_of(16, {}, dense(0, 40), rng), 1, rng);
}

TEST_P(Attend, SkipsAbsentKeys) {
  Rng rng(7);
  for (const int dim : kDims)
    for (const double share : {0.05, 0.5, 0.97}) {
      LaneData lane = lane_of(dim, dense(0, 400), dense(400, 30), rng);
      lane.present.assign(7, 0);
      std::bernoulli_distribution keep(share);
      for (int e = 0; e < lane.base; ++e)
        if (e == 2 || ((e < 128 || e >= 256) && keep(rng)))  // [128, 256) is an empty block
          lane.present[size(e / 64)] |= std::uint64_t{1} << (e % 64);
      check_limits(GetParam(), lane, 3, rng);
      if (HasFatalFailure()) return;
    }
}

TEST_P(Attend, AddsABias) {
  Rng rng(8);
  for (const int dim : kDims) {
    LaneData lane = lane_of(dim, ragged(500, 210, rng), dense(500, 25), rng);
    lane.bias = normals(lane.base, rng, 3);
    check_limits(GetParam(), lane, 1, rng);
    lane.present.assign(4, 0xfffff0f7ffff7fffu);
    check_limits(GetParam(), lane, 1, rng);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Attend, IsDenseAttentionWithTheAbsentTakenOut) {
  Rng rng(9);
  const int dim = 24;
  LaneData masked = lane_of(dim, dense(0, 300), dense(300, 9), rng);
  masked.present.assign(5, 0x9249249249249249u);
  std::vector<std::int32_t> kept;
  for (int e = 0; e < 300; ++e)
    if (masked.has(e)) kept.push_back(e);
  LaneData gathered = lane_of(dim, kept, dense(300, 9), rng);
  gathered.tail_keys = masked.tail_keys, gathered.tail_values = masked.tail_values;
  for (int i = 0; i < gathered.base; ++i)
    for (int d = 0; d < dim; ++d) {
      const int e = kept[size(i)];
      gathered.base_keys[size(static_cast<int>(key_index(i, dim, d)))] = masked.key(e, d);
      gathered.base_values[size(i * dim + d)] = masked.value(e, d);
    }
  const std::vector<float> query = normals(dim, rng);
  const auto run = [&](const LaneData& lane) {
    const int seen = lane.base + lane.tail;
    std::vector<float> out(size(dim + 1)), scratch(cpu::attend_scratch(seen, dim, false));
    const float* q = query.data();
    float *to = out.data(), *log_sum = out.data() + dim;
    const int from = 0;
    GetParam().attend()(lane.view(), {1, &q, &from, &seen, &to, &log_sum, nullptr}, dim, scratch.data());
    return out;
  };
  expect_same(run(masked), run(gathered), "a mask and a copy");
}

INSTANTIATE_TEST_SUITE_P(Every, Attend, testing::ValuesIn(ways()), [](const auto& way) {
  return std::string(way.param.kernels->name) + (way.param.products == Products::kPairs ? "_pairs" : "");
});

}  // namespace
}  // namespace evictbench
