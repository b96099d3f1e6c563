// Several examples in flight: every one answers what evaluate() says of it alone, to the bit, whoever flies beside it, fails
// or runs out of memory.
#include "harness/flight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/cpu/device.h"
#include "core/device_errors.h"
#include "harness/feeding.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/random_decoder.h"
#include "tests/support/stub_policies.h"

namespace evictbench {
namespace {

// Memory for so many bytes and no more; caches of prompts go elsewhere a little before.
class Small : public CpuDevice {
 public:
  Small() : CpuDevice(1) {}
  void* allocate(std::size_t bytes) override {
    if (bytes_in_use() + bytes > most) throw OutOfMemory("no memory");
    return CpuDevice::allocate(bytes);
  }
  void* allocate_or_spill(std::size_t bytes) override {
    if (bytes_in_use() + bytes <= most_of_caches) return allocate(bytes);
    ++spills;
    const std::size_t before = CpuDevice::bytes_in_use();
    void* p = CpuDevice::allocate(bytes);
    spilled_[p] = CpuDevice::bytes_in_use() - before;
    return p;
  }
  void release(void* p, std::size_t bytes) noexcept override {
    spilled_.erase(p);
    CpuDevice::release(p, bytes);
  }
  std::size_t bytes_in_use() const override { return CpuDevice::bytes_in_use() - spilled(); }
  std::size_t spilled() const {
    std::size_t sum = 0;
    for (const auto& [p, bytes] : spilled_) sum += bytes;
    return sum;
  }
  std::size_t most = std::size_t{1} << 40, most_of_caches = most;
  int spills = 0;

 private:
  std::map<void*, std::size_t> spilled_;
};

// A decoder that fails where it is told to, and says what it is asked.
class Watched : public Model {
 public:
  explicit Watched(const Model& model) : model_(model) {}
  KvShape shape(int tokens) const override { return model_.shape(tokens); }
  int vocabulary() const override { return model_.vocabulary(); }
  std::shared_ptr<const Snapshot> prefill(Device& device, std::span<const std::int32_t> prompt,
                                          const Needs& needs, const PassOptions& options) const override {
    ++prefills;
    if (before_prefill) before_prefill(prompt);
    return model_.prefill(device, prompt, needs, options);
  }
  Tensor extend(Device& device, RaggedCache& cache, std::span<const Tokens> tokens,
                const PassOptions& options) const override {
    int lengths = 0;
    for (int p = 0, last = 0; p < cache.points(); last = cache.shape(p++).tokens)
      lengths += cache.shape(p).tokens != last;
    ++extends, most_examples = std::max(most_examples, lengths);
    if (before_extend) before_extend(cache);
    return model_.extend(device, cache, tokens, options);
  }

  std::function<void(std::span<const std::int32_t>)> before_prefill = {};
  std::function<void(const RaggedCache&)> before_extend = {};
  mutable int prefills = 0, extends = 0, most_examples = 0;

 private:
  const Model& model_;
};

class FlightTest : public testing::Test {
 protected:
  FlightTest()
      : decoder_(device_, config_of(kShape), usual_names(config_of(kShape)), RandomWeights(kShape, 3)),
        model_(decoder_) {
    points_ = {{"full", make_policy("full"), "full"},
               {"snapkv", make_policy("snapkv"), "entries", 9},
               {"rolling", std::make_shared<stubs::RollingHeavyHitters>(&seen_), "entries", 12},
               {"h2o", make_policy("h2o"), "ratio", 0.3},
               {"masked", make_policy("streaming_llm"), "ratio", 0.6, {}, {1, 6}},
               {"heads", std::make_shared<stubs::SnapKvQueryHeads>(), "entries", 10},
               {"merged", std::make_shared<stubs::Centroid>(true), "entries", 8}};
    constexpr int kLengths[] = {40, 300, 17, 90, 41, 130, 64, 25};
    for (int i = 0; i < 8; ++i) units_.push_back(unit(kLengths[i], i));
  }

  // Examples of all protocols, that end after few tokens or many.
  Unit unit(int tokens, int number) const {
    using Question = Protocol::Question;
    using First = Protocol::FirstToken;
    Tokens context = some_tokens(tokens + number);
    context.erase(context.begin(), context.begin() + number);
    Unit unit{{context, some_tokens(1 + number % 3)}, points_, {}, {}};
    unit.protocol = {number % 2 == 0 ? Question::kInside : Question::kAfter,
                     number % 4 == 0 ? First::kFull : First::kEvicted};
    unit.limits.max_new = 1 + number * 5 % 12;
    for (int id = 0; id < 262; id += 9) unit.limits.end_tokens.push_back(id);
    unit.limits.first_may_end = number % 3 == 0;
    return unit;
  }

  Outcome alone(const Unit& unit) {
    Outcome out{{}, {}, unit.prompt.hash()};
    out.answers = evaluate(device_, decoder_, unit.prompt, unit.points, unit.protocol, unit.limits,
                           &out.timing, {}, unit.continuation);
    return out;
  }
  std::vector<Outcome> all_alone() {
    std::vector<Outcome> out;
    for (const Unit& unit : units_) out.push_back(alone(unit));
    return out;
  }
  std::vector<Outcome> fly(int in_flight, const std::function<void()>& checkpoint = {}) {
    told_.clear();
    const Schedule schedule{.units = units_.size(),
                            .unit = [&](std::size_t i) { return units_[i]; },
                            .done =
                                [&](std::size_t i, const Outcome& outcome) {
                                  EXPECT_EQ(i, told_.size()) << "out of order";
                                  told_.push_back(outcome);
                                }};
    evaluate_in_flight(device_, model_, schedule, in_flight, checkpoint);
    EXPECT_EQ(told_.size(), units_.size());
    return told_;
  }
  // Of as many units as were told of.
  void expect_same(const std::vector<Outcome>& got, const std::vector<Outcome>& want,
                   const std::string& when) {
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].prompt_hash, want[i].prompt_hash);
      ASSERT_EQ(got[i].answers.size(), want[i].answers.size()) << when << ", unit " << i;
      for (std::size_t p = 0; p < got[i].answers.size(); ++p)
        expect_same(got[i].answers[p], want[i].answers[p],
                    when + ", unit " + std::to_string(i) + ", " + units_[i].points[p].name);
    }
  }
  static void expect_same(const Answer& got, const Answer& want, const std::string& when) {
    EXPECT_EQ(got.error, want.error) << when;
    EXPECT_EQ(got.tokens, want.tokens) << when;
    EXPECT_EQ(got.prompt_tokens, want.prompt_tokens) << when;
    EXPECT_EQ(got.asked, want.asked) << when;
    EXPECT_EQ(got.kept, want.kept) << when;
    EXPECT_EQ(got.full_entries, want.full_entries) << when;
    EXPECT_EQ(got.retained_bytes, want.retained_bytes) << when;
    EXPECT_EQ(got.kept_by_layer, want.kept_by_layer) << when;
    ASSERT_EQ(got.fidelity.has_value(), want.fidelity.has_value()) << when;
    if (!got.fidelity) return;
    EXPECT_EQ(got.fidelity->tokens, want.fidelity->tokens) << when;
    EXPECT_EQ(got.fidelity->kl, want.fidelity->kl) << when;
    EXPECT_EQ(got.fidelity->delta_nll, want.fidelity->delta_nll) << when;
    EXPECT_EQ(got.fidelity->mass_by_layer, want.fidelity->mass_by_layer) << when;
  }

  static constexpr RandomShape kShape{.layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 8, .hidden = 24};
  Small device_;
  const Decoder decoder_;
  Watched model_;
  stubs::RollingHeavyHitters::Seen seen_;
  std::vector<Point> points_;
  std::vector<Unit> units_;
  std::vector<Outcome> told_;
};

TEST_F(FlightTest, WhateverTheNumberInFlightEveryExampleAnswersAsAlone) {
  const std::vector<Outcome> want = all_alone();
  std::set<std::size_t> lengths;
  for (const Outcome& outcome : want)
    for (const Answer& answer : outcome.answers) {
      EXPECT_EQ(answer.error, "");
      lengths.insert(answer.tokens.size());
    }
  EXPECT_GE(lengths.size(), 5u) << "answers of all lengths";
  for (const int n : {1, 2, 3, 5, 64}) {
    model_.most_examples = 0;
    expect_same(fly(n), want, std::to_string(n) + " in flight");
    EXPECT_GE(model_.most_examples, std::min(n, 2)) << "they shared no step";
    EXPECT_LE(model_.most_examples, n);
  }
}

TEST_F(FlightTest, StepsAreShared) {
  fly(1);
  const int apart = std::exchange(model_.extends, 0);
  fly(8);
  EXPECT_LT(model_.extends, apart / 2);
}

TEST_F(FlightTest, LogitsOfASharedStepAreThoseOfAStepAlone) {
  std::vector<Prefilled> examples;
  std::vector<Feed> feeds;
  const DecodeLimits limits;
  const std::function<void()> checkpoint;
  for (const Unit& unit : units_) feeds.push_back(feed_of(unit.prompt, {Protocol::Question::kAfter}));
  for (std::size_t i = 0; i < units_.size(); ++i)
    examples.push_back(
        {device_, decoder_,
         decoder_.prefill(device_, feeds[i].prompt,
                          needs_of(points_, decoder_.shape(static_cast<int>(feeds[i].prompt.size())))),
         feeds[i], limits, checkpoint});
  Feeder together(device_, decoder_, checkpoint);
  std::vector<Tokens> fed;
  std::vector<float> want;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    std::vector<std::string> errors;
    const auto kept = select_all(points_, examples[i].snapshot->observation, errors);
    Feeder apart(examples[i], points_, kept, 3);
    together.add(examples[i], points_, kept, 3);
    const std::vector<Tokens> mine(points_.size(), Tokens(1 + i % 3, static_cast<std::int32_t>(i)));
    fed.insert(fed.end(), mine.begin(), mine.end());
    const auto logits = apart.feed(mine).to_host<float>();
    want.insert(want.end(), logits.begin(), logits.end());
  }
  const auto got = together.feed(fed).to_host<float>();
  ASSERT_EQ(got.size(), want.size());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)), 0);
}

TEST_F(FlightTest, PointsWhoseCachesDoNotFitWaitTheirTurn) {
  const std::vector<Outcome> want = all_alone();
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{40'000}, std::size_t{200'000}}) {
    for (Unit& unit : units_) unit.limits.batch_bytes = bytes;
    expect_same(all_alone(), want, "alone");
    expect_same(fly(4), want, std::to_string(bytes) + " bytes");
  }
}

TEST_F(FlightTest, FidelityIsThatOfTheExampleAlone) {
  for (std::size_t i = 0; i < units_.size(); ++i) {
    units_[i].continuation.kind = i % 2 == 0 ? Continuation::Kind::kAnswer : Continuation::Kind::kReference;
    units_[i].continuation.reference = some_tokens(static_cast<int>(i) + 2);
  }
  const std::vector<Outcome> want = all_alone();
  for (const int n : {2, 5}) expect_same(fly(n), want, std::to_string(n) + " in flight");
}

TEST_F(FlightTest, AnExampleWhosePrefillFailsFailsAlone) {
  std::vector<Outcome> want = all_alone();
  const auto bad = units_[3].prompt.context;
  model_.before_prefill = [&](std::span<const std::int32_t> prompt) {
    if (std::ranges::equal(prompt.first(5), std::span(bad).first(5)) && prompt.size() >= bad.size())
      throw Error(Exit::kInput, "a bad example");
  };
  for (Answer& answer : want[3].answers) answer = {}, answer.error = "a bad example";
  units_[5].prompt = {};  // nothing to prefill at all
  for (Answer& answer : want[5].answers) answer = {};
  want[5].prompt_hash = units_[5].prompt.hash();
  for (const int n : {1, 2, 5}) {
    auto got = fly(n);
    for (Answer& answer : got[5].answers) {
      EXPECT_NE(answer.error.find("empty prompt"), std::string::npos) << answer.error;
      answer.error.clear();
    }
    expect_same(got, want, std::to_string(n) + " in flight");
  }
}

TEST_F(FlightTest, AnExampleThatFailsInASharedStepFailsAlone) {
  std::vector<Outcome> want = all_alone();
  model_.before_extend = [&](const RaggedCache& cache) {
    for (int p = 0; p < cache.points(); ++p)
      if (cache.shape(p).tokens == 300) throw Error(Exit::kInput, "a bad step");
  };
  ASSERT_EQ(units_[1].prompt.context.size(), 300u);
  for (Answer& answer : want[1].answers) answer = {}, answer.error = "a bad step";
  for (const int n : {1, 2, 5}) expect_same(fly(n), want, std::to_string(n) + " in flight");
}

TEST_F(FlightTest, APolicyOrARuleThatFailsHarmsItsPointsAlone) {
  struct Failing : Policy {
    Needs needs(const KvShape&) const override { return {}; }
    std::vector<Kept> select(const Observation& seen, std::span<const Budget>) const override {
      throw Error(Exit::kInput, "no selection of " + std::to_string(seen.shape().tokens));
    }
  };
  for (std::size_t i = 0; i < units_.size(); i += 2)
    units_[i].points.insert(units_[i].points.begin() + 2,
                            Point{"failing", std::make_shared<Failing>(), "entries", 4});
  const std::vector<Outcome> want = all_alone();
  EXPECT_NE(want[2].answers[2].error, "");
  EXPECT_EQ(want[2].answers[3].error, "");
  for (const int n : {2, 5}) expect_same(fly(n), want, std::to_string(n) + " in flight");
}

TEST_F(FlightTest, WhatMemoryThereIsChangesNoAnswer) {
  for (Unit& unit : units_) unit.continuation.kind = Continuation::Kind::kAnswer;
  device_.reset_peak();
  const std::size_t weights = device_.bytes_in_use();
  const std::vector<Outcome> want = all_alone();
  std::size_t alone = 0;
  for (const Outcome& outcome : want) alone = std::max(alone, outcome.timing.peak_bytes);
  model_.prefills = 0;
  fly(8);
  EXPECT_EQ(model_.prefills, 8) << "no example begins anew where there is memory";
  int failed = 0;
  for (const double part : {3.0, 2.0, 1.5, 1.2, 1.0, 0.8, 0.6, 0.5, 0.3}) {
    const std::string when = std::to_string(part) + " of what one takes";
    device_.most = weights + static_cast<std::size_t>(part * static_cast<double>(alone - weights));
    const std::vector<Outcome> one = fly(1);
    if (part >= 1) expect_same(one, want, when);
    for (const Outcome& outcome : one)
      for (const Answer& answer : outcome.answers) failed += !answer.error.empty();
    for (const int n : {2, 3, 8}) expect_same(fly(n), one, when + ", " + std::to_string(n) + " in flight");
    EXPECT_EQ(device_.bytes_in_use(), weights) << "all is given back";
  }
  EXPECT_GT(failed, 0) << "in the least of memory";
}

TEST_F(FlightTest, NoCacheOfAPromptIsSpilledToMakeRoomForAnother) {
  const std::vector<Outcome> want = all_alone();
  device_.most_of_caches = device_.bytes_in_use() + 200'000;  // of the longest and some others
  int of_several = 0;
  model_.before_extend = [&](const RaggedCache& cache) {
    for (int p = 1; p < cache.points(); ++p)
      if (cache.shape(p) != cache.shape(0)) {
        ++of_several;
        EXPECT_LT(device_.spilled(), 5'000u) << "more than half of a prompt that is shorter than its window";
        break;
      }
  };
  expect_same(fly(8), want, "fewer");
  EXPECT_GT(of_several, 0);
  EXPECT_GT(device_.spills, 0);
  device_.most_of_caches = 0;
  expect_same(fly(4), want, "every cache elsewhere");
}

TEST_F(FlightTest, PointsThatDoNotFitTogetherAreAnsweredInPart) {
  Unit unit = units_[2];  // a short prompt, so that its points take the most
  unit.protocol = {Protocol::Question::kAfter};
  unit.prompt.question = some_tokens(30);
  for (int more = 0; more < 3; ++more) unit.points.insert(unit.points.end(), points_.begin(), points_.end());
  const Outcome want = alone(unit);
  int steps = want.timing.steps;
  for (const double part : {0.95, 0.9, 0.85}) {
    device_.most = static_cast<std::size_t>(part * static_cast<double>(want.timing.peak_bytes));
    const Outcome got = alone(unit);
    for (std::size_t p = 0; p < unit.points.size(); ++p)
      expect_same(got.answers[p], want.answers[p], unit.points[p].name);
    EXPECT_GT(got.timing.steps, steps) << "some went one after the other";
  }
}

TEST_F(FlightTest, AStopOrALostCardLosesNothingThatWasFirst) {
  const std::vector<Outcome> want = all_alone();
  int steps = 0;
  fly(3, [&] { ++steps; });
  std::size_t most = 0;
  for (int stop = 1; stop < steps; stop += 7) {
    int step = 0;
    EXPECT_THROW(fly(3,
                     [&] {
                       if (++step == stop) throw Error(Exit::kInterrupted, "stopped");
                     }),
                 Error);
    expect_same(told_, want, "stopped");
    EXPECT_GE(told_.size(), most) << "later stops find more";
    most = told_.size();
  }
  EXPECT_GE(most, units_.size() - 3);
  int left = 6;
  model_.before_extend = [&](const RaggedCache&) {
    if (--left == 0) throw DeviceLost("lost");
  };
  EXPECT_THROW(fly(4), DeviceLost);
  EXPECT_FALSE(told_.empty());
  expect_same(told_, want, "lost");
}

TEST_F(FlightTest, TimesAreOfTheExample) {
  const std::vector<Outcome> one = all_alone(), many = fly(4);
  for (std::size_t i = 0; i < units_.size(); ++i) {
    const Timing &a = one[i].timing, &b = many[i].timing;
    EXPECT_EQ(b.prompt_tokens, a.prompt_tokens);
    EXPECT_EQ(b.decoded_tokens, a.decoded_tokens);
    EXPECT_EQ(b.steps, a.steps);
    EXPECT_GT(b.prefill, 0);
    EXPECT_GE(b.peak_bytes, a.peak_bytes);
  }
}

}  // namespace
}  // namespace evictbench
