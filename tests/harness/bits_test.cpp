// The promise of compute mode f32: the same bits whatever the instruction path, the number of threads, how points are
// batched, how a cache lies in memory and in how many pieces a prompt comes. Over random models of all head layouts and odd
// sizes; the digests below hold on every x86-64 machine.
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <random>

#include "core/cpu/device.h"
#include "core/cpu/kernels.h"
#include "harness/evaluate.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/random_decoder.h"

namespace evictbench {
namespace {

constexpr int kGroups = 8, kModelsOfAGroup = 26, kSteps = 3;
constexpr std::uint64_t kGolden[kGroups] = {0xc1a9f968ea6d759f, 0xaf8c2f3f0657bec2, 0xd768355bc456f7c5,
                                            0x2cac34bcf74c68f5, 0xc4657a1e0dca86be, 0x330c4c1b8967701f,
                                            0xd32c0537880a3b78, 0xe16f87630cfeb089};

using Rng = std::mt19937;
int pick(Rng& rng, int least, int most) {  // the same on every machine, unlike std::uniform_int_distribution
  return least + static_cast<int>(rng() % static_cast<unsigned>(most - least + 1));
}

struct Trial {
  explicit Trial(int number) : seed(static_cast<unsigned>(number)) {
    Rng rng(seed);
    constexpr int kDims[] = {2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 64, 80};
    shape.layers = pick(rng, 1, 3);
    shape.kv_heads = pick(rng, 1, 4);
    shape.q_heads = shape.kv_heads * pick(rng, 1, 4);
    shape.head_dim = kDims[pick(rng, 0, 12)];
    shape.hidden = pick(rng, 3, 90);
    shape.intermediate = pick(rng, 1, 120);
    shape.vocabulary = pick(rng, 2, 300);
    shape.tied = pick(rng, 0, 1) == 1;
    shape.theta = pick(rng, 0, 1) == 1 ? 10000 : 500000;
    dtype = pick(rng, 0, 1) == 0 ? DType::kF32 : number % 2 == 0 ? DType::kF16 : DType::kBF16;
    const int tokens = number % 13 == 0 ? pick(rng, 500, 700) : pick(rng, 1, 300);  // some in two chunks
    for (int i = 0; i < tokens + kSteps; ++i)
      prompt.push_back(static_cast<std::int32_t>(rng() % static_cast<unsigned>(shape.vocabulary)));
    more.assign(prompt.end() - kSteps, prompt.end());
    prompt.resize(static_cast<std::size_t>(tokens));
  }
  unsigned seed;
  RandomShape shape;
  DType dtype;
  Tokens prompt, more;
};

// How a trial is run; none of it may show.
struct Way {
  std::string_view path;
  int threads, batch;
  RaggedCache::Layout layout;
  CpuDevice::Products products = CpuDevice::Products::kF32;
};

std::vector<Point> points_of() {
  std::vector<Point> points;
  for (const char* name : {"adakv", "full", "knorm", "pyramidkv", "random", "snapkv", "streaming_llm"}) {
    const std::shared_ptr<const Policy> policy = make_policy(name);
    for (const double amount : {1.0, 7.5, 33.0, 64.0, 150.0})
      if (policy->evicts() || amount == 1) points.push_back({name, policy, "entries", amount});
  }
  return points;
}

class Digest {
 public:
  void add(std::span<const float> values) { add(values.data(), values.size_bytes()); }
  void add(std::span<const std::int32_t> values) { add(values.data(), values.size_bytes()); }
  std::uint64_t value() const { return value_; }

 private:
  void add(const void* data, std::size_t bytes) { value_ = XXH3_64bits_withSeed(data, bytes, value_); }
  std::uint64_t value_ = 0;
};

// Prefill logits, every kept set, and the logits of every step at every point.
std::uint64_t run(const Trial& trial, const Way& way) {
  CpuDevice device(way.threads, way.path, way.products);
  const Decoder model(device, config_of(trial.shape), usual_names(config_of(trial.shape)),
                      RandomWeights(trial.shape, trial.seed, trial.dtype));
  const std::vector<Point> points = points_of();
  const KvShape shape = model.shape(static_cast<int>(trial.prompt.size()));
  const auto snapshot = model.prefill(device, trial.prompt, needs_of(points, shape));
  Digest digest;
  digest.add(snapshot->last_logits);
  std::vector<std::string> errors;
  const std::vector<Kept> kept = select_all(points, snapshot->observation, errors);
  for (std::size_t p = 0; p < points.size(); ++p) {
    EXPECT_EQ(errors[p], "") << points[p].name;
    for (int lane = 0; lane < kept[p].selection.lanes(); ++lane) digest.add(kept[p].selection.lane(lane));
  }
  const auto V = static_cast<std::size_t>(model.vocabulary()), batch = static_cast<std::size_t>(way.batch);
  for (std::size_t first = 0; first < points.size(); first += batch) {
    const auto mine = std::span(kept).subspan(first, std::min(batch, points.size() - first));
    RaggedCache cache(snapshot, mine, shape.tokens, kSteps, way.layout);
    std::vector<std::vector<float>> logits;  // [steps][points V]
    for (const std::int32_t token : trial.more)
      logits.push_back(
          model.extend(device, cache, std::vector<Tokens>(mine.size(), {token})).to_host<float>());
    for (std::size_t p = 0; p < mine.size(); ++p)
      for (const auto& step : logits) digest.add(std::span(step).subspan(p * V, V));
  }
  return digest.value();
}

// The prompt in two pieces, the second one fed through a cache that holds everything: the same last logits.
void expect_pieces_agree(const Trial& trial, CpuDevice::Products products = CpuDevice::Products::kF32) {
  if (trial.prompt.size() < 2) return;
  CpuDevice device(1, "", products);
  const Decoder model(device, config_of(trial.shape), usual_names(config_of(trial.shape)),
                      RandomWeights(trial.shape, trial.seed, trial.dtype));
  const auto whole = model.prefill(device, trial.prompt, {});
  const std::size_t cut = trial.prompt.size() / 2;
  const auto begun = model.prefill(device, std::span(trial.prompt).first(cut), {});
  const KvShape s = begun->shape();
  const Kept everything{Selection::everything(s.layers, s.kv_heads, s.tokens), {}, {}};
  RaggedCache cache(begun, std::span(&everything, 1), s.tokens, static_cast<int>(trial.prompt.size()));
  const Tokens rest(trial.prompt.begin() + static_cast<std::ptrdiff_t>(cut), trial.prompt.end());
  const auto last = model.extend(device, cache, std::span(&rest, 1)).to_host<float>();
  EXPECT_TRUE(std::ranges::equal(last, whole->last_logits)) << "model " << trial.seed;
}

class Bits : public testing::TestWithParam<int> {};

TEST_P(Bits, AreThoseOfEveryMachine) {
  using Layout = RaggedCache::Layout;
  constexpr int kBatches[] = {1, 3, 8, 32};
  constexpr Layout kLayouts[] = {Layout::kList, Layout::kMask, Layout::kEither};
  Digest group;
  for (int i = 0; i < kModelsOfAGroup; ++i) {
    const int number = GetParam() * kModelsOfAGroup + i;
    const Trial trial(number);
    const std::uint64_t want = run(trial, {"portable", 1, 32, Layout::kList});
    int turn = number;
    for (const cpu::Kernels* path : cpu::available_kernels()) {
      const Way way{path->name, 1 + turn % 4, kBatches[turn / 2 % 4], kLayouts[turn % 3]};
      ++turn;
      EXPECT_EQ(run(trial, way), want) << "model " << number << ", " << way.path << ", " << way.threads
                                       << " threads, batches of " << way.batch;
    }
    expect_pieces_agree(trial);
    const std::int32_t halves[] = {static_cast<std::int32_t>(want >> 32), static_cast<std::int32_t>(want)};
    group.add(std::span<const std::int32_t>(halves));
    if (HasFailure()) return;
  }
  EXPECT_EQ(group.value(), kGolden[GetParam()]) << "other bits than those of the golden machines";
}
INSTANTIATE_TEST_SUITE_P(Group, Bits, testing::Range(0, kGroups));

// Mode bf16dot has bits of its own, but neither threads nor batches nor layouts nor pieces change them.
TEST(Bf16Dot, BitsDependOnNothingElse) {
  if (!cpu::available_kernels().back()->gemm_pairs) GTEST_SKIP() << "no bf16 dot products on this machine";
  constexpr auto kDot = CpuDevice::Products::kBf16Dot;
  int differ = 0;
  for (int number = 0; number < 20; ++number) {
    const Trial trial(1000 + number);
    const std::uint64_t want = run(trial, {"", 1, 32, RaggedCache::Layout::kList, kDot});
    EXPECT_EQ(run(trial, {"", 3, 1, RaggedCache::Layout::kMask, kDot}), want) << "model " << trial.seed;
    EXPECT_EQ(run(trial, {"", 2, 5, RaggedCache::Layout::kEither, kDot}), want) << "model " << trial.seed;
    expect_pieces_agree(trial, kDot);
    differ += want != run(trial, {"", 1, 32, RaggedCache::Layout::kList});
  }
  EXPECT_GE(differ, 15) << "a mode of its own has bits of its own";
}

}  // namespace
}  // namespace evictbench
