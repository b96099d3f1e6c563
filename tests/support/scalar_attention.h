#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/dtype.h"
#include "core/lane.h"
#include "core/numerics.h"

// Attention over one lane straight from the rules of core/numerics.h: no vectors, no tiles, no shared loops.
namespace evictbench {

// The lane a kernel reads, in vectors of exactly the size that it may touch.
struct LaneData {
  int dim = 0, base = 0, tail = 0;
  std::vector<float> base_keys, base_values, tail_keys, tail_values, bias;
  std::vector<std::uint64_t> present;  // empty: all
  std::vector<std::int32_t> positions, block_ends;
  float softcap = 0;

  bool has(int e) const {
    return e >= base || present.empty() || (present[static_cast<std::size_t>(e / 64)] >> (e % 64) & 1u);
  }
  float key(int e, int d) const {
    return e < base ? base_keys[static_cast<std::size_t>(key_index(e, dim, d))]
                    : tail_keys[static_cast<std::size_t>(key_index(e - base, dim, d))];
  }
  float value(int e, int d) const {
    return e < base ? base_values[static_cast<std::size_t>(e * dim + d)]
                    : tail_values[static_cast<std::size_t>((e - base) * dim + d)];
  }
  cpu::AttendLane view() const {
    return {base_keys.data(),
            base_values.data(),
            tail_keys.data(),
            tail_values.data(),
            base,
            tail,
            bias.empty() ? nullptr : bias.data(),
            present.empty() ? nullptr : present.data(),
            positions.data(),
            positions.data() + base,
            block_ends.data(),
            static_cast<int>(block_ends.size()),
            softcap};
  }
};

struct ScalarRow {
  std::vector<float> out;  // [D]
  float log_sum = 0;
  std::vector<float> probabilities;  // [present entries of the lane]
};

// What products are made of: f32 chains, or (mode bf16dot) dot products of pairs of numbers rounded to bf16.
enum class Products { kChains, kPairs };

inline float as_bf16(float x) { return numerics::flushed(bf16_to_f32(f32_to_bf16(numerics::flushed(x)))); }

// sum + x · w over n elements, continuing a chain.
template <class X, class W>
float scalar_product(float sum, int n, Products products, const X& x, const W& w) {
  if (products == Products::kChains) {
    for (int k = 0; k < n; ++k) sum = std::fma(x(k), w(k), sum);
    return sum;
  }
  for (int k = 0; k < n; k += 2) {
    const bool odd = k + 1 < n;
    sum = numerics::dot_bf16(sum, as_bf16(x(k)), odd ? as_bf16(x(k + 1)) : 0, as_bf16(w(k)),
                             odd ? as_bf16(w(k + 1)) : 0);
  }
  return sum;
}

// The query sees the entries [from, seen).
inline ScalarRow scalar_attention(const LaneData& lane, const std::vector<float>& query, int from, int seen,
                                  Products products = Products::kChains) {
  struct Part {
    float top, sum;
    std::vector<float> out;
  };
  const int entries = lane.base + lane.tail;
  const float scale = 1.0f / std::sqrt(static_cast<float>(lane.dim));
  const auto sees = [&](int e) { return e >= from && e < seen; };
  std::map<int, std::vector<int>> blocks;  // absolute block -> its entries that are present
  std::vector<float> logits;               // [entries]
  for (int e = 0; e < entries; ++e) {
    float logit =
        scale * scalar_product(
                    0, lane.dim, products, [&](int d) { return query[static_cast<std::size_t>(d)]; },
                    [&](int d) { return lane.key(e, d); });
    if (lane.softcap > 0) logit = numerics::softcap(logit, lane.softcap);
    if (e < lane.base && !lane.bias.empty()) logit += lane.bias[static_cast<std::size_t>(e)];
    logits.push_back(logit);
    if (lane.has(e)) blocks[lane.positions[static_cast<std::size_t>(e)] / 128].push_back(e);
  }
  std::optional<Part> all;
  for (auto& [block, present] : blocks) {
    if (std::ranges::none_of(present, sees)) continue;
    if (products == Products::kChains) std::erase_if(present, [&](int e) { return !sees(e); });
    Part part{-INFINITY, 0, std::vector<float>(static_cast<std::size_t>(lane.dim), 0.0f)};
    for (const int e : present)
      if (sees(e)) part.top = std::max(part.top, logits[static_cast<std::size_t>(e)]);
    std::vector<float> weights;  // of those that the query does not see: 0
    float sums[16] = {};
    for (const int e : present) {
      weights.push_back(sees(e) ? numerics::exp(logits[static_cast<std::size_t>(e)] - part.top) : 0.0f);
      sums[lane.positions[static_cast<std::size_t>(e)] % 16] += weights.back();
    }
    for (int d = 0; d < lane.dim; ++d)
      part.out[static_cast<std::size_t>(d)] = scalar_product(
          0, static_cast<int>(present.size()), products,
          [&](int i) { return weights[static_cast<std::size_t>(i)]; },
          [&](int i) { return lane.value(present[static_cast<std::size_t>(i)], d); });
    const auto four = [&](int i) { return (sums[i] + sums[i + 8]) + (sums[i + 4] + sums[i + 12]); };
    part.sum = (four(0) + four(2)) + (four(1) + four(3));
    if (!all) {
      all = part;
      continue;
    }
    const float top = std::max(all->top, part.top);
    const float a = numerics::exp(all->top - top), b = numerics::exp(part.top - top);
    all->sum = std::fma(all->sum, a, part.sum * b);
    for (std::size_t d = 0; d < part.out.size(); ++d) all->out[d] = std::fma(all->out[d], a, part.out[d] * b);
    all->top = top;
  }
  ScalarRow row;
  for (const float x : all.value().out) row.out.push_back(x / all->sum);
  row.log_sum = all->top + numerics::log(all->sum);
  for (int e = 0; e < entries; ++e)
    if (lane.has(e))
      row.probabilities.push_back(sees(e) ? numerics::exp(logits[static_cast<std::size_t>(e)] - row.log_sum)
                                          : 0.0f);
  return row;
}

}  // namespace evictbench
