// The master oracle: what a point answers from its ragged cache equals, bit for bit, what a dense decoder that shares
// none of its code answers from the whole prompt with everything evicted masked out.
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <random>

#include "core/cpu/kernels.h"
#include "harness/evaluate.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/calibration_files.h"
#include "tests/support/fixtures.h"
#include "tests/support/scalar_decoder.h"

namespace evictbench {
namespace {

using Row = ScalarDecoder::Row;

const RandomShape kMha{.layers = 2, .q_heads = 4, .kv_heads = 4, .head_dim = 8, .hidden = 24},
    kGqa{.layers = 3, .q_heads = 6, .kv_heads = 2, .head_dim = 16, .hidden = 40, .tied = false},
    kMqa{.layers = 2, .q_heads = 3, .kv_heads = 1, .head_dim = 12, .hidden = 24};

Tokens random_tokens(int n, unsigned seed) {
  std::mt19937 rng(seed);
  Tokens tokens(static_cast<std::size_t>(n));
  for (auto& token : tokens) token = static_cast<std::int32_t>(rng() % 262);
  return tokens;
}

// Every registered policy at several budgets, and the full cache.
std::vector<Point> all_points(const Decoder& model) {
  std::vector<Point> points;
  for (const PolicyEntry& entry : all_policies()) {
    const std::shared_ptr<const Policy> policy = make_policy_for(entry.name, model.shape(1));
    if (!policy->evicts()) {
      points.push_back({entry.name, policy, "full", 0});
      continue;
    }
    for (const double amount : {3.0, 40.0, 77.5}) points.push_back({entry.name, policy, "entries", amount});
  }
  return points;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::int32_t best(const Row& logits) {
  return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
}

struct World {
  explicit World(const RandomShape& shape, unsigned seed = 3, std::string_view path = {}, int threads = 2)
      : config(config_of(shape)),
        weights(shape, seed),
        device(threads, path),
        model(device, config, usual_names(config), weights),
        scalar(config, weights) {}
  DecoderConfig config;
  RandomWeights weights;
  CpuDevice device;
  Decoder model;
  ScalarDecoder scalar;
};

std::uint64_t snapshot_hash(const Snapshot& s) {
  const DenseKv& kv = s.observation.cache();
  return XXH3_64bits(kv.keys.data<float>(), kv.keys.bytes()) ^
         (3 * XXH3_64bits(kv.values.data<float>(), kv.values.bytes()));
}

// Feeds `fed` from position `from` on, through the ragged cache all points at once and through the masked oracle one
// point after the other, and compares the logits of every step.
void compare(World& world, int T, int from, int steps, RaggedCache::Layout layout) {
  const Tokens prompt = random_tokens(T, static_cast<unsigned>(T));
  Tokens fed(prompt.begin() + from, prompt.end());
  const Tokens more = random_tokens(steps, 99);
  fed.insert(fed.end(), more.begin(), more.end());
  const std::vector<Point> points = all_points(world.model);
  const auto snapshot = world.model.prefill(world.device, prompt, needs_of(points, world.model.shape(T)));
  const std::uint64_t before = snapshot_hash(*snapshot);

  Row last;
  for (const auto token : prompt) last = world.scalar.feed(token, [](int, int, int) { return true; });
  ASSERT_TRUE(same_bits(last, snapshot->last_logits)) << "prefill is the plain decoder";

  std::vector<std::string> errors;
  const std::vector<Kept> kept = select_all(points, snapshot->observation, errors);
  for (const std::string& error : errors) ASSERT_EQ(error, "");
  RaggedCache cache(snapshot, kept, from, static_cast<int>(fed.size()), layout);
  std::vector<std::vector<float>> ragged;  // [steps][P * V]
  for (const auto token : fed)
    ragged.push_back(world.model.extend(world.device, cache, std::vector<Tokens>(points.size(), {token}))
                         .to_host<float>());
  EXPECT_EQ(snapshot_hash(*snapshot), before) << "points leave the snapshot as it was";

  const auto V = static_cast<std::size_t>(world.config.vocabulary);
  const int H = world.config.q_heads;
  for (std::size_t p = 0; p < points.size(); ++p) {
    const int heads = kept[p].selection.heads();  // lanes of a layer: G, or H
    std::vector<std::vector<bool>> stays;         // [L * heads][T]
    for (int lane = 0; lane < world.config.layers * heads; ++lane) {
      stays.emplace_back(static_cast<std::size_t>(T), false);
      for (const auto slot : kept[p].selection.lane(lane))
        stays.back()[static_cast<std::size_t>(slot)] = true;
    }
    world.scalar.cut(from);
    for (std::size_t i = 0; i < fed.size(); ++i) {
      const Row masked = world.scalar.feed(fed[i], [&](int layer, int head, int position) {
        return position >= from || stays[static_cast<std::size_t>(layer * heads + head * heads / H)]
                                        [static_cast<std::size_t>(position)];
      });
      ASSERT_TRUE(same_bits(masked, std::span(ragged[i]).subspan(p * V, V)))
          << points[p].name << " " << points[p].amount << " step " << i;
    }
    // Fed in one piece, alone: the same again.
    RaggedCache alone(snapshot, std::span(kept).subspan(p, 1), from, static_cast<int>(fed.size()), layout);
    const auto once = world.model.extend(world.device, alone, std::vector<Tokens>{fed}).to_host<float>();
    ASSERT_TRUE(same_bits(once, std::span(ragged.back()).subspan(p * V, V)))
        << points[p].name << " alone, in one piece";
  }
}

TEST(MasterOracle, QuestionAfterMha) {
  World world(kMha);
  compare(world, 150, 150, 16, RaggedCache::Layout::kList);
}
TEST(MasterOracle, QuestionInsideMha) {
  World world(kMha);
  compare(world, 150, 149, 16, RaggedCache::Layout::kList);
}
TEST(MasterOracle, QuestionAfterGqa) {
  World world(kGqa);
  compare(world, 126, 126, 16, RaggedCache::Layout::kList);  // a block begins while decoding
}
TEST(MasterOracle, QuestionInsideGqa) {
  World world(kGqa);
  compare(world, 260, 259, 16, RaggedCache::Layout::kList);
}
TEST(MasterOracle, QuestionInsideMqa) {
  World world(kMqa);
  compare(world, 133, 132, 16, RaggedCache::Layout::kList);
}
TEST(MasterOracle, BitsOverTheSnapshotInsteadOfCopies) {
  World world(kGqa);
  compare(world, 150, 149, 16, RaggedCache::Layout::kMask);
  World again(kGqa);
  compare(again, 131, 131, 16, RaggedCache::Layout::kMask);
}
TEST(MasterOracle, ShortPrompts) {
  for (const int T : {1, 2, 31, 33}) {
    World world(kGqa);
    compare(world, T, T, 3, RaggedCache::Layout::kList);
  }
}
TEST(MasterOracle, EveryInstructionPath) {
  for (const cpu::Kernels* path : cpu::available_kernels()) {
    World world(kGqa, 3, path->name);
    compare(world, 60, 59, 4, RaggedCache::Layout::kList);
  }
}

// The whole evaluation against the oracle's own greedy loop.
TEST(Evaluate, AnswersOfBothProtocols) {
  World world(kGqa);
  const Prompt prompt{random_tokens(100, 1), random_tokens(20, 2)};
  const std::vector<Point> points = all_points(world.model);
  const DecodeLimits limits{.max_new = 12};
  for (const Protocol protocol : {Protocol{Protocol::Question::kInside, Protocol::FirstToken::kEvicted},
                                  Protocol{Protocol::Question::kInside, Protocol::FirstToken::kFull},
                                  Protocol{Protocol::Question::kAfter, Protocol::FirstToken::kEvicted}}) {
    const bool after = protocol.question == Protocol::Question::kAfter;
    const bool full_first = !after && protocol.first_token == Protocol::FirstToken::kFull;
    Tokens all = prompt.context;
    all.insert(all.end(), prompt.question.begin(), prompt.question.end());
    const Tokens& prefilled = after ? prompt.context : all;
    const int T = static_cast<int>(prefilled.size());
    const auto snapshot =
        world.model.prefill(world.device, prefilled, needs_of(points, world.model.shape(T)));
    std::vector<std::string> errors;
    const auto kept = select_all(points, snapshot->observation, errors);
    const auto answers = evaluate(world.device, world.model, prompt, points, protocol, limits);
    for (std::size_t p = 0; p < points.size(); ++p) {
      const int from = after ? T : full_first ? T : T - 1;
      world.scalar.cut(0);
      Row logits;
      const auto everything = [](int, int, int) { return true; };
      for (int t = 0; t < from; ++t) logits = world.scalar.feed(all[static_cast<std::size_t>(t)], everything);
      const auto visible = [&](int layer, int head, int position) {
        const int heads = kept[p].selection.heads();  // lanes of a layer: G, or H
        const auto slots = kept[p].selection.lane(layer * heads + head * heads / world.config.q_heads);
        return position >= from || std::ranges::binary_search(slots, position);
      };
      for (std::size_t t = static_cast<std::size_t>(from); t < all.size(); ++t)
        logits = world.scalar.feed(all[t], visible);
      Tokens expected;
      for (int i = 0; i < limits.max_new; ++i) {
        expected.push_back(best(logits));
        logits = world.scalar.feed(expected.back(), visible);
      }
      EXPECT_EQ(answers[p].tokens, expected) << points[p].name << " " << points[p].amount;
      EXPECT_EQ(answers[p].error, "");
    }
  }
}

TEST(Evaluate, NeitherThreadsNorBatchNorOrderChangeAnAnswer) {
  const Prompt first{random_tokens(140, 1), random_tokens(9, 2)},
      second{random_tokens(90, 3), random_tokens(5, 4)};
  World base(kGqa, 3, {}, 1);
  const std::vector<Point> points = all_points(base.model);
  const DecodeLimits limits{.max_new = 8};
  const auto expected = evaluate(base.device, base.model, first, points, {}, limits);
  const auto check = [&](const std::vector<Answer>& answers, const char* where) {
    for (std::size_t p = 0; p < points.size(); ++p) {
      EXPECT_EQ(answers[p].tokens, expected[p].tokens) << where << points[p].name;
      EXPECT_EQ(answers[p].kept_by_layer, expected[p].kept_by_layer) << where;
      EXPECT_EQ(answers[p].retained_bytes, expected[p].retained_bytes) << where;
    }
  };
  for (const int threads : {2, 4}) {
    World world(kGqa, 3, {}, threads);
    evaluate(world.device, world.model, second, points, {}, limits);  // another example before
    check(evaluate(world.device, world.model, first, points, {}, limits), "threads ");
  }
  DecodeLimits masked = limits;
  masked.layout = RaggedCache::Layout::kMask;
  auto answers = evaluate(base.device, base.model, first, points, {}, masked);
  for (std::size_t p = 0; p < points.size(); ++p) EXPECT_EQ(answers[p].tokens, expected[p].tokens) << "mask";
  DecodeLimits small = limits;
  small.batch_bytes = 1;  // one point after the other
  check(evaluate(base.device, base.model, first, points, {}, small), "alone ");
}

TEST(Evaluate, FullAnswersTheSameInsideAndAfter) {
  World world(kGqa);
  const Prompt prompt{random_tokens(100, 1), random_tokens(20, 2)};
  const std::vector<Point> full{{"full", make_policy("full"), "full", 0}};
  const DecodeLimits limits{.max_new = 24};
  const auto answer = [&](Protocol protocol) {
    return evaluate(world.device, world.model, prompt, full, protocol, limits)[0].tokens;
  };
  const Tokens inside = answer({Protocol::Question::kInside, Protocol::FirstToken::kEvicted});
  EXPECT_EQ(inside, answer({Protocol::Question::kInside, Protocol::FirstToken::kFull}));
  EXPECT_EQ(inside, answer({Protocol::Question::kAfter, Protocol::FirstToken::kEvicted}));
}

}  // namespace
}  // namespace evictbench
