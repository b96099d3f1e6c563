#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "core/cpu/device.h"
#include "core/observation.h"
#include "core/scores.h"

namespace evictbench {

inline CpuDevice& host() {  // one for all tests that do not care
  static CpuDevice device;
  return device;
}

inline Tensor random_tensor(std::vector<int> dims, std::mt19937& rng) {
  Tensor t(host(), DType::kF32, std::move(dims));
  std::normal_distribution<float> normal;
  std::generate_n(t.data<float>(), t.size(), [&] { return normal(rng); });
  return t;
}

inline DenseKv random_kv(const KvShape& s, std::mt19937& rng) {
  DenseKv kv(host(), s.layers, s.kv_heads, s.tokens, s.head_dim);
  std::normal_distribution<float> normal;
  for (int lane = 0; lane < s.lanes(); ++lane)
    for (int t = 0; t < s.tokens; ++t)
      for (int d = 0; d < s.head_dim; ++d) {
        kv.lane_keys<float>(lane)[key_index(t, s.head_dim, d)] = normal(rng);
        kv.lane_values<float>(lane)[t * s.head_dim + d] = normal(rng);
      }
  return kv;
}

// A prefill that never happened: random rows, and what `needs` asks for (column sums are whole numbers: many ties).
inline Observation::Parts random_parts(const KvShape& s, const Needs& needs, unsigned seed) {
  std::mt19937 rng(seed);
  Observation::Parts parts;
  parts.shape = s;
  parts.prompt_hash = seed;
  parts.cache = random_kv(s, rng);
  parts.positions.emplace_back(static_cast<std::size_t>(s.tokens));
  std::iota(parts.positions[0].begin(), parts.positions[0].end(), 0);

  int window = 0;  // a prefill keeps the last queries of the largest window, as far as there are so many
  for (const Stat& stat : needs.stats) window = std::max(window, std::min(stat.window, s.tokens));
  if (window > 0) {
    parts.queries = random_tensor({s.layers, s.q_heads, window, s.head_dim}, rng);
    parts.log_sums = Tensor(host(), DType::kF32, {s.layers, s.q_heads, window});
    std::fill_n(parts.log_sums.data<float>(), parts.log_sums.size(), 7.0f);  // any normaliser will do
  }
  for (const Stat& stat : needs.stats) {
    if (stat.kind != Stat::kColumnSums) continue;
    Tensor sums(host(), DType::kF32, {s.layers, s.q_heads, s.tokens});
    std::geometric_distribution<int> small(0.3);
    std::generate_n(sums.data<float>(), sums.size(), [&] { return static_cast<float>(small(rng)); });
    parts.given.emplace(stat, std::move(sums));
  }
  for (const Probe& probe : needs.probes)
    parts.probes.emplace(probe.name, random_tensor({s.layers, s.q_heads, s.tokens}, rng));
  return parts;
}

// Random rows and one given table [L, H, T], for cases worked by hand.
inline Observation::Parts parts_of(const KvShape& s, const Stat& stat, std::span<const float> table) {
  Observation::Parts parts = random_parts(s, {}, 1);
  parts.given.emplace(stat, Tensor::from_host(host(), table, {s.layers, s.q_heads, s.tokens}));
  return parts;
}

// Scores [L, heads, T] with every slot in use; heads is the table's size over L * T.
inline Scores scores_of(const KvShape& s, std::span<const float> table, Device& device = host()) {
  const int heads = static_cast<int>(table.size()) / (s.layers * s.tokens);
  return {s, Tensor::from_host(device, table, {s.layers, heads, s.tokens}),
          std::vector<std::int32_t>(static_cast<std::size_t>(s.layers * heads), s.tokens)};
}

}  // namespace evictbench
