#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "core/cuda/attend_half.h"
#include "core/cuda/device.h"

// Attention of one layer of the Llama-3.1-8B shape in bf16, to be timed: 32 query heads, 8 key-value heads, head dim 128.
namespace evictbench::benchmarks {

constexpr int kHeads = 32, kLanes = 8, kDim = 128, kGroup = kHeads / kLanes;

inline Tensor normal_halves(Device& device, std::vector<int> dims) {
  static const std::vector<std::uint16_t> block = [] {
    std::vector<std::uint16_t> words(1'048'573);  // a prime, so that no two rows are alike
    std::mt19937 rng(1);
    std::normal_distribution<float> normal;
    std::ranges::generate(words, [&] { return f32_to_bf16(normal(rng)); });
    return words;
  }();
  Tensor t(device, DType::kBF16, std::move(dims));
  for (std::size_t done = 0; done < t.size(); done += block.size())
    device.upload(t.at(static_cast<std::ptrdiff_t>(done)), block.data(),
                  2 * std::min(block.size(), t.size() - done));
  return t;
}

inline DenseKv normal_kv(Device& device, int layers, int entries) {
  DenseKv kv(device, layers, kLanes, 0, kDim, DType::kBF16);
  kv.keys = normal_halves(device, {layers, kLanes, padded(entries) / kPanel, kDim, kPanel});
  kv.values = normal_halves(device, {layers, kLanes, padded(entries), kDim});
  return kv;
}

// The whole prompt, in the chunks that a prefill makes of it.
class PrefillAttention {
 public:
  PrefillAttention(CudaDevice& device, int tokens)
      : device_(device),
        tokens_(tokens),
        rows_(std::min(tokens, device.prefill_rows())),
        kv_(normal_kv(device, 1, tokens)),
        positions_(static_cast<std::size_t>(tokens)),
        queries_(normal_halves(device, {rows_, kHeads, kDim})),
        out_(device, DType::kBF16, {rows_, kHeads, kDim}),
        log_sums_(device, DType::kF32, {rows_, kHeads}) {
    std::iota(positions_.begin(), positions_.end(), 0);
  }
  void operator()(int /*call*/) {
    for (int first = 0; first < tokens_; first += rows_) {
      const int rows = std::min(rows_, tokens_ - first);
      std::vector<AttendTask> tasks;
      for (int lane = 0; lane < kLanes; ++lane)
        tasks.push_back({{{.keys = kv_.lane_keys(lane),
                           .values = kv_.lane_values(lane),
                           .positions = positions_.data(),
                           .entries = first + rows,
                           .dtype = DType::kBF16},
                          {}},
                         0,
                         rows,
                         lane * kGroup,
                         kGroup,
                         first,
                         {}});
      cuda::attend_half(device_, tasks, queries_, out_, log_sums_);
    }
  }
  // Two products of a query and a key of kDim each, of what is seen alone.
  double operations() const { return 4.0 * kDim * kHeads * tokens_ * (tokens_ + 1.0) / 2; }
  double bytes() const { return static_cast<double>(kv_.bytes()) + 2.0 * 2 * tokens_ * kHeads * kDim; }

 private:
  CudaDevice& device_;
  int tokens_, rows_;
  DenseKv kv_;
  std::vector<std::int32_t> positions_;
  Tensor queries_, out_, log_sums_;
};

// One token of each of several points, each with lanes of its own of `kept` entries and a few new ones.
class DecodeAttention {
 public:
  DecodeAttention(CudaDevice& device, int points, int kept)
      : device_(device),
        points_(points),
        kept_(kept),
        sets_(std::max(2, 1'000'000'000 / (points * kLanes * kept * kDim * 4))),  // beyond every cache
        base_(normal_kv(device, sets_ * points, kept)),
        tail_(normal_kv(device, points, kNew)),
        positions_(static_cast<std::size_t>(kept + kNew)),
        queries_(normal_halves(device, {points, kHeads, kDim})),
        out_(device, DType::kBF16, {points, kHeads, kDim}),
        log_sums_(device, DType::kF32, {points, kHeads}) {
    std::iota(positions_.begin(), positions_.end(), 0);
  }
  void operator()(int call) {
    std::vector<AttendTask> tasks;
    for (int point = 0; point < points_; ++point)
      for (int lane = 0; lane < kLanes; ++lane) {
        const int of_tail = point * kLanes + lane, of_base = call % sets_ * points_ * kLanes + of_tail;
        tasks.push_back({{{.keys = base_.lane_keys(of_base),
                           .values = base_.lane_values(of_base),
                           .positions = positions_.data(),
                           .entries = kept_,
                           .dtype = DType::kBF16},
                          {.keys = tail_.lane_keys(of_tail),
                           .values = tail_.lane_values(of_tail),
                           .positions = positions_.data() + kept_,
                           .entries = kNew,
                           .dtype = DType::kBF16}},
                         point,
                         1,
                         lane * kGroup,
                         kGroup,
                         kept_ + kNew - 1,
                         {}});
      }
    cuda::attend_half(device_, tasks, queries_, out_, log_sums_);
  }
  double operations() const { return 4.0 * kDim * kHeads * points_ * (kept_ + kNew); }
  double bytes() const { return 2.0 * 2 * kDim * kLanes * points_ * (kept_ + kNew); }  // keys and values

 private:
  static constexpr int kNew = 16;
  CudaDevice& device_;
  int points_, kept_, sets_;
  DenseKv base_, tail_;  // [sets x points], [points]
  std::vector<std::int32_t> positions_;
  Tensor queries_, out_, log_sums_;
};

}  // namespace evictbench::benchmarks
