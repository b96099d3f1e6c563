// What an experiment asks of its device, beside memory and operations.
#include "core/device.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/cpu/device.h"
#include "harness/evaluate.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/random_decoder.h"

namespace evictbench {
namespace {

class Listening : public CpuDevice {
 public:
  explicit Listening(int rows) : CpuDevice(1), rows_(rows) {}
  int prefill_rows() const override { return rows_; }
  void enter(Phase phase) override {
    if (phases.empty() || phases.back() != phase) phases.push_back(phase);
  }
  std::vector<Phase> phases;  // without repeats

 private:
  int rows_;
};

Decoder model(Device& device) {
  const RandomShape shape;
  return Decoder(device, config_of(shape), usual_names(config_of(shape)), RandomWeights(shape, 1));
}

TEST(DeviceSeam, PhasesComeInOrder) {
  Listening device(512);
  const Decoder decoder = model(device);
  const std::vector<Point> points{{"snapkv", make_policy("snapkv"), "entries", 12}};
  const auto answers =
      evaluate(device, decoder, {some_tokens(40), some_tokens(1)}, points, {}, {.max_new = 3});
  EXPECT_EQ(answers[0].error, "");
  EXPECT_EQ(device.phases, (std::vector{Phase::kLoad, Phase::kPrefill, Phase::kSelect, Phase::kDecode}));
}

TEST(DeviceSeam, RowsOfAPrefillChangeNoBit) {
  const Tokens prompt = some_tokens(61);
  const Stat window{Stat::kWindowAttention, 16}, sums{Stat::kColumnSums};
  std::vector<std::vector<float>> first;
  for (const int rows : {512, 1, 7, 60}) {
    Listening device(rows);
    std::vector<float> all;  // logits of every row
    const auto snapshot = model(device).prefill(device, prompt, {{window, sums}, {}},
                                                {.tap = nullptr,
                                                 .all_logits =
                                                     [&](int row, const Tensor& logits) {
                                                       EXPECT_EQ(row, std::ssize(all) / logits.columns());
                                                       const auto host = logits.to_host<float>();
                                                       all.insert(all.end(), host.begin(), host.end());
                                                     },
                                                 .checkpoint = {}});
    const std::vector<std::vector<float>> got{snapshot->last_logits, all,
                                              snapshot->observation.table(window).to_host<float>(),
                                              snapshot->observation.table(sums).to_host<float>()};
    if (first.empty()) first = got;
    EXPECT_EQ(got, first) << rows << " rows at a time";
  }
}

// Of the last layer only that is computed which somebody wants: a window's attention, the last token's logits.
TEST(DeviceSeam, WhatNobodyWantsOfAPrefillChangesNoBit) {
  const Tokens prompt = some_tokens(61);
  for (const int window : {1, 5, 61})
    for (const int rows : {512, 1, 7, 57, 60}) {
      Listening device(rows);
      const Decoder decoder = model(device);
      const Stat stat{Stat::kWindowAttention, window};
      const auto outcome = [&](const Needs& needs) {
        const auto snapshot = decoder.prefill(device, prompt, needs);
        std::vector<std::vector<float>> parts{snapshot->last_logits};
        const KvShape s = snapshot->shape();
        for (int lane = 0; lane < s.layers * s.kv_heads; ++lane) {
          const Tensor& keys = snapshot->observation.cache().keys;
          const auto size = static_cast<std::ptrdiff_t>(keys.size()) / (s.layers * s.kv_heads);
          parts.emplace_back(keys.data<float>() + lane * size, keys.data<float>() + (lane + 1) * size);
        }
        if (!needs.stats.empty()) parts.push_back(snapshot->observation.table(stat).to_host<float>());
        return parts;
      };
      const auto lean = outcome({{stat}, {}}), whole = outcome({{stat, Stat{Stat::kColumnSums}}, {}});
      EXPECT_EQ(lean, whole) << "window " << window << ", " << rows << " rows at a time";
      const auto bare = outcome({});
      EXPECT_EQ(bare[0], whole[0]) << rows << " rows at a time, no window";
    }
}

TEST(DeviceSeam, BytesFollowTheTypeOfTheCache) {
  KvShape shape{.layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .tokens = 100};
  EXPECT_EQ(shape.entry_bytes(), 64);
  EXPECT_EQ(Budget::of_bytes(4 * 64 * 10, shape).entries, 10);
  shape.dtype = DType::kF16;
  EXPECT_EQ(shape.entry_bytes(), 32);
  EXPECT_EQ(Budget::of_bytes(4 * 64 * 10, shape).entries, 20);
}

TEST(DeviceSeam, ForecastsFollowItsTypeAndRows) {
  const DecoderConfig c = config_of({});
  const auto bytes = [&](DType dtype, std::int64_t tokens, std::int64_t rows) {
    return Decoder::prefill_bytes(c, tokens, dtype, rows);
  };
  EXPECT_EQ(bytes(DType::kF32, 1000, 512), Decoder::step_bytes(c, DType::kF32, 512, 1));
  EXPECT_EQ(bytes(DType::kF32, 100, 512), Decoder::step_bytes(c, DType::kF32, 100, 1));
  const std::int64_t always_f32 = 512 * 4 * (c.hidden + c.q_heads) + 4 * (c.hidden + c.vocabulary);
  EXPECT_EQ(2 * (bytes(DType::kBF16, 1000, 512) - always_f32), bytes(DType::kF32, 1000, 512) - always_f32);
}

}  // namespace
}  // namespace evictbench
