// Exact attention on a card gives the bits of the host device: outputs, log sums and probabilities, in mode f32 and, over
// keys and values of two bytes, up to the rounding of what it gives.
#include <numeric>

#include "core/cuda/ops.h"
#include "tests/support/both_devices.h"
#include "tests/support/cuda.h"

namespace evictbench {
namespace {

using Positions = std::vector<std::int32_t>;

Positions dense(int first, int count) {
  Positions positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

// A layer of lanes that share positions, on both devices.
struct Lanes {
  BothKv base, tail;
  Positions base_positions, tail_positions;
  std::vector<float> bias;             // of the base, or empty
  std::vector<std::uint64_t> present;  // of the base, or empty

  LaneView view(bool card, int lane) const {
    const auto run_of = [&](const BothKv& kv, const Positions& positions) {
      const DenseKv& cache = card ? kv.on_card : kv.on_host;
      if (positions.empty()) return evictbench::Run{};
      return evictbench::Run{.keys = cache.lane_keys(lane),
                             .values = cache.lane_values(lane),
                             .positions = positions.data(),
                             .entries = static_cast<int>(positions.size()),
                             .dtype = cache.dtype()};
    };
    LaneView view{run_of(base, base_positions), run_of(tail, tail_positions)};
    if (!bias.empty()) view.base.bias = bias.data();
    if (!present.empty()) view.base.present = present.data();
    return view;
  }
};

// Rows that attend to such lanes, the first one at `position`.
struct Reads {
  const Lanes* lanes;
  int rows;
  std::int32_t position;
  AttentionForm form{};
};

class CudaAttend : public CudaTest, public testing::WithParamInterface<DType> {
 protected:
  static constexpr int G = 2, H = 6;

  Lanes lanes(int D, Positions base, Positions tail) {
    const auto caches = [&](const Positions& positions) {
      return positions.empty()
                 ? BothKv{}
                 : random_caches(card_, dtype_, {1, G, G, D, static_cast<int>(positions.size())}, rng_);
    };
    return {caches(base), caches(tail), base, tail, {}, {}};
  }
  Positions ragged(int tokens, int kept) {  // position 0 among them
    Positions all = dense(1, tokens - 1), positions{0};
    std::ranges::sample(all, std::back_inserter(positions), kept - 1, rng_);
    return positions;
  }

  // All reads in one call.
  void check(int D, const std::vector<Reads>& reads, bool probabilities) {
    int N = 0;
    for (const Reads& r : reads) N += r.rows;
    const Both queries = random_both(card_, dtype_, {N, H, D}, rng_, 2);
    const auto attended = [&](Device& device, const auto& attend, bool card, DType dtype, const Tensor& q,
                              std::vector<std::vector<float>>& seen) {
      std::vector<AttendTask> tasks;
      int first = 0;
      for (const Reads& r : reads) {
        for (int g = 0; g < G; ++g)
          tasks.push_back(
              {r.lanes->view(card, g), first, r.rows, g * (H / G), H / G, r.position, r.form, nullptr});
        first += r.rows;
      }
      for (const AttendTask& task : tasks)
        seen.emplace_back(static_cast<std::size_t>(task.rows * task.heads * task.lane.present_entries()),
                          7.0f);
      for (std::size_t i = 0; i < tasks.size() && probabilities; ++i) tasks[i].probabilities = seen[i].data();
      std::vector<Tensor> got;
      got.emplace_back(device, dtype, std::vector<int>{N, H, D});
      got.emplace_back(device, DType::kF32, std::vector<int>{N, H});
      attend(device, tasks, q, got[0], got[1]);
      return got;
    };
    std::vector<std::vector<float>> want_seen;
    const auto want = attended(host(), host().ops().attend, false, DType::kF32, queries.on_host, want_seen);
    in_every_order([&] {
      std::vector<std::vector<float>> seen;
      const auto got = attended(card_, cuda::attend, true, dtype_, queries.on_card, seen);
      const std::string what = "dim " + std::to_string(D);
      expect_same_bits(got[0].to_floats(), rounded(want[0].to_floats(), dtype_), what + ", out");
      expect_same_bits(got[1], want[1], what + ", log sums");
      for (std::size_t i = 0; i < seen.size(); ++i)
        expect_same_bits(seen[i], want_seen[i], what + ", probabilities of task " + std::to_string(i));
    });
  }
  // In two bytes what asks for no probabilities is the matter of core/cuda/attend_half.h.
  void check(int D, const std::vector<Reads>& reads) {
    for (const bool probabilities : {false, true})
      if (probabilities || dtype_ == DType::kF32) check(D, reads, probabilities);
  }

  DType dtype_ = GetParam();
  CudaDevice card_{dtype_};
  std::mt19937 rng_{5};
};

constexpr int kDims[] = {15, 64};

TEST_P(CudaAttend, OfAPromptInPieces) {
  for (const int D : kDims) {
    const Lanes all = lanes(D, dense(0, 150), {});
    Lanes first = lanes(D, dense(0, 21), {});
    check(D, {{&first, 21, 0}, {&all, 40, 110}, {&all, 1, 149}});
  }
}

TEST_P(CudaAttend, OfKeptEntriesAndATail) {
  for (const int D : {1, 8, 64, 80, 144}) {
    const Lanes straddling = lanes(D, ragged(300, 140), dense(300, 5)), only_tail = lanes(D, {}, dense(0, 9)),
                apart = lanes(D, ragged(640, 50), dense(640, 70)), short_base = lanes(D, {0}, {1});
    check(D, {{&straddling, 5, 300}, {&only_tail, 9, 0}, {&apart, 3, 707}, {&short_base, 1, 1}});
  }
}

TEST_P(CudaAttend, SkipsAbsentEntries) {
  for (const int D : kDims) {
    Lanes some = lanes(D, dense(0, 400), dense(400, 20)), regular = lanes(D, dense(0, 128), {});
    some.present.assign(7, 0);
    std::bernoulli_distribution keep(0.3);
    for (int e = 0; e < 400; ++e)  // [128, 256) is an empty block
      if (e == 0 || e == 399 || ((e < 128 || e >= 256) && keep(rng_)))
        some.present[static_cast<std::size_t>(e / 64)] |= std::uint64_t{1} << (e % 64);
    regular.present = {0x9249249249249249u, ~std::uint64_t{0}};
    check(D, {{&some, 7, 400}, {&some, 3, 60}, {&regular, 2, 126}, {&some, 1, 200}});
  }
}

TEST_P(CudaAttend, AddsABiasAndTakesBlendsThatShareAPosition) {
  for (const int D : kDims) {
    Positions positions = dense(0, 70);
    positions.insert(positions.end(), 250, 130);  // more than a block holds
    positions.insert(positions.end(), {131, 131, 200, 300});
    Lanes blended = lanes(D, positions, dense(301, 30));
    blended.bias = normal_numbers(rng_, positions.size(), 3);
    check(D, {{&blended, 11, 320}, {&blended, 2, 130}});
  }
}

TEST_P(CudaAttend, KeepsToWindowsAndCaps) {
  for (const int D : kDims) {
    const Lanes all = lanes(D, dense(0, 420), {}), kept = lanes(D, ragged(300, 200), dense(300, 40));
    check(D, {{&all, 9, 400, {50, 0}},
              {&all, 5, 300, {129, 2.5f}},
              {&kept, 12, 300, {33, 0}},
              {&kept, 4, 330, {0, 30}},
              {&all, 9, 0, {4, 1}}});
  }
}

TEST_P(CudaAttend, IsRefusedOverNothing) {
  const Lanes kept = lanes(8, {5}, {});
  EXPECT_THROW(check(8, {{&kept, 1, 4}}, true), std::exception);
}

TEST(CudaAttendF32, GivesARowTheSameBitsInAnyBatch) {
  if (cuda_cards() == 0) GTEST_SKIP() << "no CUDA card on this machine";
  constexpr int D = 24, H = 3, T = 200;
  CudaDevice card(DType::kF32);
  std::mt19937 rng(1);
  const BothKv kv = random_caches(card, DType::kF32, {1, 1, 1, D, T}, rng);
  const Both queries = random_both(card, DType::kF32, {T, H, D}, rng);
  const Positions positions = dense(0, T);
  const auto attended = [&](int first, int rows) {
    const evictbench::Run run{.keys = kv.on_card.lane_keys(0),
                              .values = kv.on_card.lane_values(0),
                              .positions = positions.data(),
                              .entries = T};
    const AttendTask task{{run, {}}, first, rows, 0, H, first, {}, nullptr};
    Tensor out(card, DType::kF32, {T, H, D}), log_sums(card, DType::kF32, {T, H});
    cuda::attend(card, std::span(&task, 1), queries.on_card, out, log_sums);
    return out.to_floats();
  };
  const std::vector<float> all = attended(0, T);
  for (const auto& [first, rows] : {std::pair{3, 1}, {100, 17}, {128, 72}}) {
    const std::vector<float> some = attended(first, rows);
    const auto at = static_cast<std::size_t>(first * H * D), n = static_cast<std::size_t>(rows * H * D);
    expect_same_bits(std::span(some).subspan(at, n), std::span(all).subspan(at, n), "rows of a batch");
  }
}

INSTANTIATE_TEST_SUITE_P(Every, CudaAttend, testing::ValuesIn(kWorkingTypes),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

}  // namespace
}  // namespace evictbench
