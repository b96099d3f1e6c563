// Keys that were moved are the keys that a prompt with their tokens at these places would have left.
#include "models/key_mover.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>

#include "core/ragged_cache.h"
#include "models/decoder.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

const RandomShape kShape{.layers = 1, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .hidden = 24};

const RandomWeights& weights() {
  static const RandomWeights all(kShape, 9);
  return all;
}

DecoderConfig config_with(const RopeConfig& rope) {
  DecoderConfig config = config_of(kShape);
  config.ropes[0] = rope;
  return config;
}

RopeConfig usual() { return config_of(kShape).ropes[0]; }

// What a lane's entries are: keys and values, [entries][D] each.
struct Rows {
  std::vector<std::vector<float>> keys, values;
};
Rows rows_of(const DenseKv& cache, int lane, int entries) {
  Rows rows;
  for (int e = 0; e < entries; ++e) {
    auto& key = rows.keys.emplace_back();
    for (int d = 0; d < cache.dim(); ++d)
      key.push_back(cache.lane_keys<float>(lane)[key_index(e, cache.dim(), d)]);
    const float* value = cache.lane_values<float>(lane) + e * cache.dim();
    rows.values.emplace_back(value, value + cache.dim());
  }
  return rows;
}

TEST(KeyMover, KeysStandWhereTheyAreNumbered) {
  RopeConfig linear = usual(), yarn = usual(), part = usual();
  linear.kind = RopeConfig::Kind::kLinear;
  linear.factor = 2;
  yarn.kind = RopeConfig::Kind::kYarn;
  yarn.factor = 4;
  yarn.original_max_positions = 64;
  yarn.attention_factor = 1.2;
  part.dim = 4;
  const Tokens prompt = some_tokens(40);
  const std::vector<std::vector<std::int32_t>> slots{{0, 3, 17, 39}, {5, 38}};  // of either lane
  for (const RopeConfig& rope : {usual(), linear, yarn, part}) {
    const DecoderConfig config = config_with(rope);
    const Decoder model(host(), config, usual_names(config), weights());
    const auto snapshot = model.prefill(host(), prompt, {});
    Kept kept{Selection(1, 2), {}, {}};
    for (const auto& lane : slots) kept.selection.push_lane(lane);
    const Kept all{Selection::everything(1, 2, 40), {}, {}};
    RaggedCache cache(snapshot, std::span(&all, 1), 40, 1);
    cache.replace(0, kept);
    EXPECT_EQ(cache.next_position(0), 40);
    const KeyMover mover(config);
    cache.renumber(0, mover);
    EXPECT_EQ(cache.next_position(0), 4);

    const Observation live(cache.observe(0));
    for (int lane = 0; lane < 2; ++lane) {
      const auto& mine = slots[static_cast<std::size_t>(lane)];
      const int n = static_cast<int>(mine.size()), first = 4 - n;
      Tokens again(static_cast<std::size_t>(first), 1);  // something stands before the shorter lane
      for (const auto slot : mine) again.push_back(prompt[static_cast<std::size_t>(slot)]);
      const auto fresh = model.prefill(host(), again, {});
      const Rows found = rows_of(live.cache(), lane, n),
                 wanted = rows_of(fresh->observation.cache(), lane, 4);
      for (int e = 0; e < n; ++e) {
        const auto at = static_cast<std::size_t>(e), there = static_cast<std::size_t>(first + e);
        EXPECT_EQ(live.positions(lane)[at], first + e);
        for (std::size_t d = 0; d < 8; ++d)
          EXPECT_NEAR(found.keys[at][d], wanted.keys[there][d], 2e-6) << "lane " << lane << ", entry " << e;
        EXPECT_EQ(found.values[at], wanted.values[there]);
      }
    }
  }
}

TEST(KeyMover, WhatStandsInItsPlaceIsNotTouched) {
  const DecoderConfig config = config_of(kShape);
  const Decoder model(host(), config, usual_names(config), weights());
  const auto snapshot = model.prefill(host(), some_tokens(9), {});
  const Kept all{Selection::everything(1, 2, 9), {}, {}};
  RaggedCache cache(snapshot, std::span(&all, 1), 9, 1);
  cache.replace(0, all);
  const auto refuse = [](int, auto, auto, Tensor&) { FAIL() << "moved"; };
  cache.renumber(0, refuse);
  EXPECT_EQ(cache.next_position(0), 9);
}

TEST(KeyMover, RefusesPositionsThatAreNotATurn) {
  DecoderConfig learned = config_of(kShape);
  learned.ropes.clear();
  expect_refusal([&] { KeyMover{learned}; }, "E-CF-12", "learned", Exit::kUsage);
  for (const auto kind : {RopeConfig::Kind::kDynamic, RopeConfig::Kind::kLongRope}) {
    RopeConfig rope = usual();
    rope.kind = kind;
    rope.factor = 2;
    rope.original_max_positions = 64;
    rope.short_factors = rope.long_factors = {1, 1, 1, 1};
    expect_refusal([&] { KeyMover{config_with(rope)}; }, "E-CF-12", std::string(name_of(kind)), Exit::kUsage);
  }
}

}  // namespace
}  // namespace evictbench
