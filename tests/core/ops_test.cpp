// The operations of the host device give the same bits on every number of threads and on every instruction path.
#include "core/ops.h"

#include <gtest/gtest.h>

#include <bit>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/cpu/device.h"
#include "core/cpu/kernels.h"
#include "core/dtype.h"

namespace evictbench {
namespace {

std::size_t size(int n) { return static_cast<std::size_t>(n); }

// Everything a layer does, on odd sizes that leave every kind of rest -> the bits of every result.
class Layer {
 public:
  explicit Layer(CpuDevice& device) : device_(device), ops_(device.ops()) {}

  std::vector<std::uint32_t> bits() {
    dense_rows();
    cache_and_attention();
    return bits_;
  }

 private:
  static constexpr int kTokens = 137, kHeads = 6, kGroups = 2, kDim = 24, kDepth = 77, kOutputs = 211;

  std::vector<float> numbers(std::size_t n) {
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (float& v : x) v = normal(rng_);
    return x;
  }
  Tensor random(std::vector<int> dims) {
    Tensor t(device_, DType::kF32, std::move(dims));
    const std::vector<float> x = numbers(t.size());
    device_.upload(t.data<float>(), x.data(), t.bytes());
    return t;
  }
  Tensor room(std::vector<int> dims) { return Tensor::zeros(device_, DType::kF32, std::move(dims)); }
  void note(const Tensor& t) {
    for (const float x : t.to_host<float>()) bits_.push_back(std::bit_cast<std::uint32_t>(x));
  }

  void dense_rows() {
    const std::vector<float> weights = numbers(size(kOutputs * kDepth));
    const Tensor x = random({kTokens, kDepth});
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      std::vector<std::byte> stored(weights.size() * size_of(dtype));
      convert_rows(DType::kF32, weights.data(), kOutputs, kDepth, dtype, kDepth, stored.data());
      const WeightRows part{dtype, kOutputs, stored.data()};
      const PackedMatrix w = ops_.pack(device_, std::span(&part, 1), kDepth);
      Tensor y = room({kTokens, kOutputs}), rows = room({3, kDepth});
      ops_.matmul(device_, x, w, y);
      note(y);
      const std::vector<std::int32_t> ids{0, 31, kOutputs - 1};
      ops_.embed(device_, w, ids, rows);
      note(rows);
    }
    Tensor y = room({kTokens, kDepth}), gated = room({kTokens, 45});
    ops_.rms_norm(device_, x, random({kDepth}), 1e-5f, y);
    note(y);
    ops_.add(device_, x, y);
    note(y);
    for (const Activation kind : {Activation::kSilu, Activation::kGelu}) {
      ops_.activate(device_, kind, random({kTokens, 90}), gated);
      note(gated);
      ops_.activate(device_, kind, random({kTokens, 45}), gated);
      note(gated);
    }
    ops_.layer_norm(device_, x, random({kDepth}), random({kDepth}), 1e-5f, y);
    note(y);
    ops_.add_bias(device_, random({kDepth}), y);
    note(y);
    ops_.scale(device_, 1.7f, y);
    note(y);
    ops_.softcap(device_, 2, y);
    note(y);
    Tensor heads = random({kTokens, 5 * kDim});
    ops_.norm_heads(device_, random({kDim}), 1e-5f, 1, 3, heads);
    note(heads);
  }

  void cache_and_attention() {
    Tensor q = room({kTokens, kHeads, kDim}), k = room({kTokens, kGroups, kDim}),
           v = room({kTokens, kGroups, kDim});
    const Tensor cosines = random({kTokens, kDim / 2}), sines = random({kTokens, kDim / 2});
    ops_.split_rotate(device_, random({kTokens, (kHeads + 2 * kGroups) * kDim}), cosines, sines, q, k, v);
    for (const Tensor* t : {&q, &k, &v}) note(*t);
    Tensor lone = random({kTokens, kDim});
    ops_.rotate(device_, cosines, sines, lone);
    note(lone);

    DenseKv cache(device_, 1, kGroups, kTokens, kDim);
    const StoreTask store{&cache, 0, kTokens, 0};
    ops_.store(device_, k, v, 0, std::span(&store, 1));
    note(cache.keys);
    note(cache.values);

    std::vector<std::int32_t> positions(size(kTokens));
    std::iota(positions.begin(), positions.end(), 0);
    constexpr int kGroup = kHeads / kGroups;
    std::vector<float> probabilities(size(kTokens * kHeads * kTokens));
    std::vector<AttendTask> tasks;
    for (int g = 0; g < kGroups; ++g)
      tasks.push_back(
          {.lane = {.base = {cache.lane_keys(g), cache.lane_values(g), positions.data(), nullptr, nullptr,
                             kTokens},
                    .tail = {}},
           .first_row = 0,
           .rows = kTokens,
           .first_head = g * kGroup,
           .heads = kGroup,
           .position = 0,
           .form = {g == 0 ? 0 : 20, g == 0 ? 0.0f : 3.0f},
           .probabilities = probabilities.data() + std::ptrdiff_t{g} * kTokens * kGroup * kTokens});
    Tensor out = room({kTokens, kHeads, kDim}), log_sums = room({kTokens, kHeads});
    ops_.attend(device_, tasks, q, out, log_sums);
    note(out);
    note(log_sums);
    for (const float p : probabilities) bits_.push_back(std::bit_cast<std::uint32_t>(p));
    for (const float p : probabilities) ASSERT_TRUE(p >= 0 && p <= 1.0001f);

    Tensor sums = room({1, kHeads, kTokens});
    ops_.add_column_sums(device_, cache, 0, {0, 4}, q, log_sums, 0, sums);
    note(sums);
    const Tensor window = random({1, kHeads, 32, kDim}), window_sums = random({1, kHeads, 32});
    const std::vector<Reduction> how{Reduction::kSum, Reduction::kMax, Reduction::kVariance,
                                     Reduction::kEntropy};
    for (const Tensor& table :
         ops_.window_attention(device_, window, window_sums, cache, {}, kTokens, 21, how))
      note(table);
    note(ops_.key_norms(device_, cache, kTokens));
    note(ops_.value_norms(device_, cache, kTokens));

    const std::vector<std::int32_t> slots{0, 3, 4, 17, 90, 136};
    DenseKv kept(device_, 1, kGroups, 6, kDim);
    std::vector<GatherTask> gathers;
    for (int g = 0; g < kGroups; ++g)
      gathers.push_back(
          {{cache.lane_keys(g), cache.lane_values(g), slots}, kept.lane_keys(g), kept.lane_values(g)});
    ops_.gather(device_, DType::kF32, kDim, gathers);
    note(kept.keys);
    note(kept.values);
  }

  CpuDevice& device_;
  const Ops& ops_;
  std::mt19937 rng_{1};
  std::vector<std::uint32_t> bits_;
};

TEST(Ops, ThreadsAndPathsChangeNoBit) {
  CpuDevice one(1, "portable");
  const std::vector<std::uint32_t> want = Layer(one).bits();
  ASSERT_GT(want.size(), 100'000u);
  for (const cpu::Kernels* path : cpu::available_kernels())
    for (const int threads : {1, 2, 4}) {
      CpuDevice device(threads, path->name);
      EXPECT_EQ(device.threads(), threads);
      EXPECT_TRUE(Layer(device).bits() == want) << path->name << " on " << threads << " threads";
    }
}

}  // namespace
}  // namespace evictbench
