#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "core/cuda/attend_half.h"
#include "core/cuda/device.h"
#include "core/tensor.h"

// Attention in two bytes and what it should give, in double precision, from the same rounded numbers.
namespace evictbench {

inline float half_to_float(DType dtype, std::uint16_t x) {
  return dtype == DType::kBF16 ? bf16_to_f32(x) : f16_to_f32(x);
}
inline std::uint16_t float_to_half(DType dtype, float x) {
  return dtype == DType::kBF16 ? f32_to_bf16(x) : f32_to_f16(x);
}
inline std::vector<std::uint16_t> random_halves(DType dtype, std::size_t n, std::mt19937& rng,
                                                float deviation = 1) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<std::uint16_t> x(n);
  std::ranges::generate(x, [&] { return float_to_half(dtype, normal(rng)); });
  return x;
}

// A run on the device; behind its last entry is what fresh memory holds.
class HalfRun {
 public:
  HalfRun(Device& device, DType dtype, int dim, std::vector<std::int32_t> positions, std::mt19937& rng)
      : positions_(std::move(positions)), dim_(dim), dtype_(dtype) {
    const int n = entries();
    keys_ = random_halves(dtype, std::size_t(n) * std::size_t(dim), rng);
    values_ = random_halves(dtype, keys_.size(), rng);
    if (n == 0) return;
    device_keys_ = Tensor(device, dtype, {padded(n) / kPanel, dim, kPanel});
    device_values_ = Tensor(device, dtype, {padded(n), dim});
    std::vector<std::uint16_t> panels(device_keys_.size(), 0xffff);
    for (int e = 0; e < n; ++e)
      for (int d = 0; d < dim; ++d)
        panels[std::size_t(key_index(e, dim, d))] = keys_[std::size_t(e * dim + d)];
    device.upload(device_keys_.at(0), panels.data(), panels.size() * 2);
    device.upload(device_values_.at(0), values_.data(), values_.size() * 2);
  }
  Run run() const {
    Run run{.positions = positions_.data(),
            .present = present_.empty() ? nullptr : present_.data(),
            .entries = entries(),
            .dtype = dtype_};
    if (entries() > 0) run.keys = device_keys_.at(0), run.values = device_values_.at(0);
    return run;
  }
  int entries() const { return static_cast<int>(positions_.size()); }
  // Leaves out all but about one entry in `one_in`, and never one of the last 3.
  void thin_out(unsigned one_in, std::mt19937& rng) {
    present_.assign(std::size_t(entries() + 63) / 64, 0);
    for (int e = 0; e < entries(); ++e)
      if (e + 3 >= entries() || rng() % one_in == 0)
        present_[std::size_t(e / 64)] |= std::uint64_t{1} << e % 64;
  }
  double key(int e, int d) const { return half_to_float(dtype_, keys_[std::size_t(e * dim_ + d)]); }
  double value(int e, int d) const { return half_to_float(dtype_, values_[std::size_t(e * dim_ + d)]); }

 private:
  std::vector<std::int32_t> positions_;
  std::vector<std::uint16_t> keys_, values_;  // [entries, D]
  std::vector<std::uint64_t> present_;
  Tensor device_keys_, device_values_;
  int dim_;
  DType dtype_;
};

struct HalfLanes {
  HalfRun base, tail;
  LaneView view() const { return {base.run(), tail.run()}; }
};

inline std::vector<std::int32_t> ascending(int first, int count) {
  std::vector<std::int32_t> positions(std::size_t(std::max(count, 0)));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}
// `count` of the positions below `below`.
inline std::vector<std::int32_t> some_of(int below, int count, std::mt19937& rng) {
  const auto all = ascending(0, below);
  std::vector<std::int32_t> some;
  std::ranges::sample(all, std::back_inserter(some), count, rng);
  return some;
}

struct HalfOutput {
  std::vector<std::uint16_t> out;  // [N, H, D]
  std::vector<float> log_sums;     // [N, H]
};

using HalfAttend = void (*)(Device&, std::span<const AttendTask>, const Tensor&, Tensor&, Tensor&);

inline HalfOutput run_half(Device& device, HalfAttend attend, std::span<const AttendTask> tasks,
                           std::span<const std::uint16_t> queries, std::vector<int> dims, DType dtype) {
  const auto q = Tensor::from_host(device, queries, dims, dtype);
  Tensor out = Tensor::zeros(device, dtype, dims),
         log_sums = Tensor::zeros(device, DType::kF32, {dims[0], dims[1]});
  attend(device, tasks, q, out, log_sums);
  return {out.to_host<std::uint16_t>(), log_sums.to_host<float>()};
}

// One row, in double precision.
struct ExactRow {
  ExactRow(const HalfLanes& lanes, std::span<const std::uint16_t> query, DType dtype, std::int32_t position,
           const AttentionForm& form)
      : out(query.size()), size(query.size()) {
    const int D = static_cast<int>(query.size());
    std::vector<double> logits;
    std::vector<std::pair<const HalfRun*, int>> seen;
    for (const HalfRun* half : {&lanes.base, &lanes.tail}) {
      const Run run = half->run();
      for (int e = 0; e < run.entries; ++e) {
        const std::int32_t at = run.positions[e];
        if (!run.has(e) || at > position || (form.window > 0 && at <= position - form.window)) continue;
        double logit = 0;
        for (int d = 0; d < D; ++d) logit += half_to_float(dtype, query[std::size_t(d)]) * half->key(e, d);
        logit /= std::sqrt(D);
        if (form.softcap > 0) logit = form.softcap * std::tanh(logit / form.softcap);
        logits.push_back(logit);
        seen.emplace_back(half, e);
      }
    }
    const double top = std::ranges::max(logits);
    double sum = 0;
    for (const double x : logits) sum += std::exp(x - top);
    log_sum = top + std::log(sum);
    keys = static_cast<int>(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      for (int d = 0; d < D; ++d) {
        const double weighed = std::exp(logits[i] - log_sum) * seen[i].first->value(seen[i].second, d);
        out[std::size_t(d)] += weighed;
        size[std::size_t(d)] += std::abs(weighed);
      }
  }
  std::vector<double> out, size;  // [D]; size: the sum of what out is the sum of, without signs
  double log_sum = 0;
  int keys = 0;
};

// Weights are rounded to two bytes before they meet the values, and so is the result: by at most 2^-8 of a bf16 and
// 2^-11 of an f16, or 2^-25 where an f16 is subnormal (and the greatest weight at least 1, so the sum is, too). Logits,
// sums and products are f32: some 1e-5 of their size.
inline void expect_close(const HalfOutput& got, const HalfLanes& lanes, const AttendTask& task,
                         std::span<const std::uint16_t> queries, int H, int D, DType dtype) {
  const double unit = dtype == DType::kBF16 ? 0x1p-8 : 0x1p-11;
  double worst = 0, worst_log = 0;  // as a part of what is allowed
  for (int token = 0; token < task.rows; ++token)
    for (int head = task.first_head; head < task.first_head + task.heads; ++head) {
      const auto row = std::size_t((task.first_row + token) * H + head), first = row * std::size_t(D);
      const ExactRow want(lanes, queries.subspan(first, std::size_t(D)), dtype, task.position + token,
                          task.form);
      for (std::size_t d = 0; d < std::size_t(D); ++d) {
        const double allowed = unit * (want.size[d] + std::abs(want.out[d])) + 4e-5 * want.size[d] +
                               (dtype == DType::kF16 ? want.keys * 0x1p-25 * 4 : 0) + 1e-6;
        const double off = std::abs(half_to_float(dtype, got.out[first + d]) - want.out[d]) / allowed;
        worst = off <= worst ? worst : off;  // NaN is kept
      }
      const double off = std::abs(got.log_sums[row] - want.log_sum) / (1e-5 * (4 + std::abs(want.log_sum)));
      worst_log = off <= worst_log ? worst_log : off;
    }
  EXPECT_LT(worst, 1);
  EXPECT_LT(worst_log, 1);
}

}  // namespace evictbench
