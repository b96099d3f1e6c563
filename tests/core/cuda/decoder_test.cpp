// A whole model on a card in mode f32 gives the host device's bits: what a prefill leaves, what every policy keeps of it,
// and what is decoded over that.
#include <algorithm>
#include <cmath>
#include <memory>

#include "models/decoder.h"
#include "tests/support/both_devices.h"
#include "tests/support/calibration_files.h"
#include "tests/support/cuda.h"
#include "tests/support/random_decoder.h"
#include "tests/support/stub_policies.h"

namespace evictbench {
namespace {

constexpr int kTokens = 150;  // of the prompt: two blocks of attention

// A model, what it saw of a prompt, and what it gives, on one device.
struct Side {
  Side(Device& on, const DecoderConfig& config, const RandomShape& shape)
      : device(on), model(on, config, usual_names(config), RandomWeights(shape, 5)) {}

  void prefill(const Needs& needs) { snapshot = model.prefill(device, some_tokens(kTokens), needs); }
  const Observation& seen() const { return snapshot->observation; }

  Device& device;
  Decoder model;
  std::shared_ptr<const Snapshot> snapshot;
};

struct Named {
  std::string name;
  std::shared_ptr<const Policy> policy;
};

std::vector<Named> every_policy(const KvShape& shape) {
  std::vector<Named> policies;
  for (const PolicyEntry& entry : all_policies())
    policies.push_back({entry.name, make_policy_for(entry.name, shape)});
  policies.push_back({"a centroid", std::make_shared<stubs::Centroid>(true)});
  policies.push_back({"query heads", std::make_shared<stubs::SnapKvQueryHeads>()});
  policies.push_back({"a second pass", std::make_shared<stubs::Repeat>()});
  return policies;
}

class CudaDecoder : public CudaTest {
 protected:
  void open(const DecoderConfig& config) {
    on_host_ = std::make_unique<Side>(host(), config, shape_);
    on_card_ = std::make_unique<Side>(card_, config, shape_);
    const KvShape s = on_host_->model.shape(kTokens);
    policies_ = every_policy(s);
    for (const Named& named : policies_) needs_.add(named.policy->needs(s));
    on_host_->prefill(needs_);
    on_card_->prefill(needs_);
  }

  // What one point after the other keeps, the same on both.
  std::vector<Kept> kept(const std::vector<Budget>& budgets) {
    std::vector<Kept> all;
    for (const auto& [name, policy] : policies_) {
      std::vector<Budget> asked = budgets;
      for (Budget& budget : asked) budget.rule = policy->rule();
      auto want = policy->select(on_host_->seen(), asked), got = policy->select(on_card_->seen(), asked);
      EXPECT_EQ(got.size(), want.size()) << name;
      for (std::size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(got[i].selection, want[i].selection) << name << ", budget " << asked[i].entries;
        all.push_back(std::move(want[i]));
      }
    }
    return all;
  }

  // Decodes over every point together, several tokens at once, then one by one.
  void decode(const std::vector<Kept>& points, RaggedCache::Layout layout) {
    struct Decoded {
      std::vector<std::vector<float>> logits;
      std::vector<std::int32_t> best;
      std::vector<float> rows;  // of attention, where they were asked for
    };
    const auto decoded = [&](Side& side) {
      Decoded out;
      RaggedCache cache(side.snapshot, points, kTokens, 8, layout);
      const AttentionTap tap{.row =
                                 [&](const AttentionRow& row) {
                                   out.rows.insert(out.rows.end(), row.probabilities.begin(),
                                                   row.probabilities.end());
                                 },
                             .queries = {}};
      std::vector<Tokens> fed;
      for (std::size_t p = 0; p < points.size(); ++p) fed.push_back(some_tokens(1 + static_cast<int>(p % 5)));
      for (int step = 0; step < 3; ++step) {
        const Tensor logits = side.model.extend(
            side.device, cache, fed, {.tap = step == 2 ? &tap : nullptr, .all_logits = {}, .checkpoint = {}});
        out.logits.push_back(logits.to_floats());
        const auto best = side.device.ops().best(side.device, logits);
        out.best.insert(out.best.end(), best.begin(), best.end());
        for (std::size_t p = 0; p < points.size(); ++p) fed[p] = {best[p]};
      }
      return out;
    };
    const Decoded want = decoded(*on_host_), got = decoded(*on_card_);
    ASSERT_FALSE(want.rows.empty());
    EXPECT_EQ(got.best, want.best);
    for (std::size_t step = 0; step < want.logits.size(); ++step)
      expect_same_bits(got.logits[step], want.logits[step], "logits of step " + std::to_string(step));
    expect_same_bits(got.rows, want.rows, "rows of attention");
  }

  RandomShape shape_;
  CudaDevice card_{DType::kF32};
  std::unique_ptr<Side> on_host_, on_card_;
  std::vector<Named> policies_;
  Needs needs_;
};

TEST_F(CudaDecoder, LeavesTheSameOfAPrompt) {
  open(config_of(shape_));
  expect_same_bits(on_card_->snapshot->last_logits, on_host_->snapshot->last_logits, "logits");
  expect_same_bits(on_card_->seen().cache().keys, on_host_->seen().cache().keys, "keys");
  expect_same_bits(on_card_->seen().cache().values, on_host_->seen().cache().values, "values");
  for (const Stat& stat : needs_.stats)
    expect_same_bits(on_card_->seen().table(stat), on_host_->seen().table(stat),
                     "statistic " + std::to_string(stat.kind) + " of " + std::to_string(stat.window));
  for (const Probe& probe : needs_.probes)
    expect_same_bits(on_card_->seen().probe(probe.name), on_host_->seen().probe(probe.name), probe.name);
}

TEST_F(CudaDecoder, KeepsAndDecodesTheSame) {
  open(config_of(shape_));
  kept({{1}, {kTokens}});
  const std::vector<Kept> points = kept({{9.25}, {70}});
  for (const auto layout : {RaggedCache::Layout::kList, RaggedCache::Layout::kMask}) decode(points, layout);
}

TEST_F(CudaDecoder, KeepsAndDecodesTheSameWithWindowsAndCaps) {
  DecoderConfig config = config_of(shape_);
  config.forms[1].window = 37;
  config.attention_softcap = 3;
  config.logit_softcap = 20;
  open(config);
  decode(kept({{20}}), RaggedCache::Layout::kEither);
}

// What a policy is shown of a live cache, and what replaces that.
TEST_F(CudaDecoder, ShowsAndReplacesALiveCache) {
  open(config_of(shape_));
  const stubs::RollingHeavyHitters policy(nullptr);  // goes by the attention paid so far, also while decoding
  std::vector<std::vector<float>> keys, masses, logits;
  std::vector<Selection> kept;
  for (Side* side : {on_host_.get(), on_card_.get()}) {
    const std::vector<Budget> budget{{16, policy.rule()}};
    const std::vector<Kept> first = policy.select(side->seen(), budget);
    RaggedCache cache(side->snapshot, first, kTokens, 8);
    const AttentionTap tap{.row = [&](const AttentionRow& row) { cache.accumulate(row); }, .queries = {}};
    for (int step = 0; step < 3; ++step) {
      const std::vector<Tokens> fed{some_tokens(2)};
      logits.push_back(
          side->model.extend(side->device, cache, fed, {.tap = &tap, .all_logits = {}, .checkpoint = {}})
              .to_floats());
      const Observation live(cache.observe(0));
      keys.push_back(live.cache().keys.to_floats());
      masses.push_back(live.table(stubs::kMass).to_floats());
      const Kept next = policy.select(live, budget)[0];
      kept.push_back(next.selection);
      cache.replace(0, next);
    }
  }
  for (std::size_t step = 0; step < 3; ++step) {
    expect_same_bits(logits[3 + step], logits[step], "logits");
    expect_same_bits(keys[3 + step], keys[step], "keys");
    expect_same_bits(masses[3 + step], masses[step], "masses");
    EXPECT_EQ(kept[3 + step], kept[step]);
  }
}

class CudaDecoderInTwoBytes : public CudaTest, public testing::WithParamInterface<DType> {};

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double off = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    off += std::pow(double{a[i]} - double{b[i]}, 2);
    size += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(off / size);
}

// A rounding is about half of 2^-8 (bf16) or 2^-11 (f16) of what it rounds; the few of two layers add up to three of them at
// most (1.3 and 1.1 were measured), a wrong kernel is off by much more. A point gives the same bits alone and among others.
TEST_P(CudaDecoderInTwoBytes, IsNearF32AndTheSameInAnyBatch) {
  RandomShape shape;
  shape.head_dim = 16;
  const DecoderConfig config = config_of(shape);
  CudaDevice card(GetParam());
  Side on_host(host(), config, shape), on_card(card, config, shape);
  const std::vector<Named> policies = every_policy(on_card.model.shape(kTokens));
  Needs needs;
  for (const Named& named : policies) needs.add(named.policy->needs(on_card.model.shape(kTokens)));
  for (Side* side : {&on_host, &on_card}) side->prefill(needs);
  const double near = 3 * (GetParam() == DType::kBF16 ? 0x1p-8 : 0x1p-11);
  EXPECT_LT(distance(on_card.snapshot->last_logits, on_host.snapshot->last_logits), near);

  std::vector<Kept> points;
  for (std::size_t p = 0; p < policies.size(); p += 2)
    points.push_back(
        policies[p].policy->select(on_card.seen(), std::vector<Budget>{{30, policies[p].policy->rule()}})[0]);
  const auto decoded = [&](Side& side, std::span<const Kept> some, int first) {
    RaggedCache cache(side.snapshot, some, kTokens, 4);
    std::vector<Tokens> fed;
    for (std::size_t p = 0; p < some.size(); ++p)
      fed.push_back(some_tokens(1 + (first + static_cast<int>(p)) % 4));
    return side.model.extend(side.device, cache, fed).to_floats();
  };
  const std::vector<float> all = decoded(on_card, points, 0);
  EXPECT_LT(distance(all, decoded(on_host, points, 0)), near);
  const auto V = all.size() / points.size();
  for (std::size_t p = 0; p < points.size(); p += 3)
    expect_same_bits(decoded(on_card, std::span(points).subspan(p, 1), static_cast<int>(p)),
                     std::span(all).subspan(p * V, V), policies[2 * p].name);
}

INSTANTIATE_TEST_SUITE_P(Every, CudaDecoderInTwoBytes, testing::Values(DType::kBF16, DType::kF16),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

}  // namespace
}  // namespace evictbench
