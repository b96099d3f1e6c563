#pragma once

#include <span>
#include <string>
#include <vector>

#include "policies/registry.h"
#include "tests/support/fixtures.h"

// The prompt of the examples worked by hand (specs/policies_core.md 16.1).
namespace evictbench {

using Lanes = std::vector<std::vector<int>>;

constexpr auto kPublished = Budget::Rule::kPublished;
const inline Stat kWindow{Stat::kWindowAttention, 2};
const inline KvShape kToy{.layers = 1, .q_heads = 4, .kv_heads = 2, .head_dim = 4, .tokens = 8};
constexpr int kRows[2][4][8] = {
    {{40, 5, 2, 3, 20, 5, 25, 0},  // 16.1 in hundredths: the query at 6, then at 7
     {10, 40, 10, 5, 5, 5, 25, 0},
     {10, 2, 3, 45, 10, 5, 25, 0},
     {10, 2, 38, 5, 5, 15, 25, 0}},
    {{30, 5, 5, 2, 28, 5, 10, 15},
     {10, 30, 10, 5, 10, 5, 10, 20},
     {10, 3, 2, 35, 10, 10, 10, 20},
     {15, 3, 22, 5, 5, 20, 10, 20}}};

inline std::vector<float> toy_sums(int layers = 1) {  // [L, H, T], every layer the same
  std::vector<float> sums;
  for (int layer = 0; layer < layers; ++layer)
    for (int h = 0; h < 4; ++h)
      for (int t = 0; t < 8; ++t) sums.push_back(static_cast<float>(kRows[0][h][t] + kRows[1][h][t]));
  return sums;
}

inline Lanes lanes_of(const Selection& kept) {
  Lanes lanes;
  for (int i = 0; i < kept.lanes(); ++i) lanes.emplace_back(kept.lane(i).begin(), kept.lane(i).end());
  return lanes;
}

inline Lanes kept(const Policy& policy, const Observation& seen, Budget budget) {
  return lanes_of(policy.select(seen, std::span(&budget, 1))[0].selection);
}

}  // namespace evictbench
