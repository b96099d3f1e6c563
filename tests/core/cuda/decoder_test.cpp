// A whole model on a card in mode f32 gives the host device's bits: what a prefill leaves, what every policy keeps of it,
// and what is decoded over that.
#include <algorithm>
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
  kept({{0.5}, {kTokens}, {2000}});
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

// A decode rule's view of a live cache, and what replaces it.
TEST_F(CudaDecoder, ShowsAndReplacesALiveCache) {
  open(config_of(shape_));
  stubs::RollingHeavyHitters::Seen rules[2];
  std::vector<std::vector<float>> keys, masses, logits;
  std::vector<Selection> kept;
  for (Side* side : {on_host_.get(), on_card_.get()}) {
    const stubs::RollingHeavyHitters policy(&rules[side == on_card_.get()]);
    const std::vector<Budget> budget{{16, policy.rule()}};
    const std::vector<Kept> first = policy.select(side->seen(), budget);
    RaggedCache cache(side->snapshot, first, kTokens, 8);
    const AttentionTap tap{.row = [&](const AttentionRow& row) { cache.accumulate(row); }, .queries = {}};
    const auto rule = policy.decode_rule();
    for (int step = 0; step < 3; ++step) {
      const std::vector<Tokens> fed{some_tokens(2)};
      logits.push_back(
          side->model.extend(side->device, cache, fed, {.tap = &tap, .all_logits = {}, .checkpoint = {}})
              .to_floats());
      const Observation live(cache.observe(0));
      keys.push_back(live.cache().keys.to_floats());
      masses.push_back(live.table(stubs::kMass).to_floats());
      const Kept next = rule->decide(live, budget[0]);
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

}  // namespace
}  // namespace evictbench
