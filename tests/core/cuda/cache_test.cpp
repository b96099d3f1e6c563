// What moves keys and values on a card gives what the host device gives, in every type: nothing is rounded but once.
#include <numeric>

#include "core/cuda/ops.h"
#include "tests/support/both_devices.h"
#include "tests/support/cuda.h"

namespace evictbench {
namespace {

class CudaCache : public CudaTest, public testing::WithParamInterface<DType> {
 protected:
  Both random(const std::vector<int>& dims) { return random_both(card_, dtype_, dims, rng_); }
  void SetUp() override {
    CudaTest::SetUp();
    rng_.seed(3);
  }

  DType dtype_ = GetParam();
  CudaDevice card_{dtype_};
  std::mt19937 rng_;
};

constexpr int kDims[] = {1, 8, 24, 64, 80, 15};

TEST_P(CudaCache, StoresRowsOfSeveralCaches) {
  for (const int D : kDims)
    in_every_order([&] {
      constexpr int kLayers = 2, G = 2, H = 4, kRows = 61;
      const Both k = random({kRows, G, D}), v = random({kRows, G, D});
      struct Case {
        int heads, first_row, rows, first_entry;
      };
      const std::vector<Case> cases{{G, 0, 37, 0}, {H, 37, 1, 18}, {G, 38, 23, 9}, {G, 61, 0, 0}};
      std::vector<BothKv> caches;
      for (const Case& c : cases)
        caches.push_back({DenseKv(host(), kLayers, c.heads, 40, D, DType::kF32),
                          DenseKv(card_, kLayers, c.heads, 40, D, dtype_)});
      std::vector<StoreTask> on_host, on_card;
      for (std::size_t i = 0; i < cases.size(); ++i) {
        const Case& c = cases[i];
        on_host.push_back({&caches[i].on_host, c.first_row, c.rows, c.first_entry});
        on_card.push_back({&caches[i].on_card, c.first_row, c.rows, c.first_entry});
      }
      host().ops().store(host(), k.on_host, v.on_host, 1, on_host);
      cuda::store(card_, k.on_card, v.on_card, 1, on_card);
      for (const BothKv& cache : caches) {
        expect_same_bits(cache.on_card.keys, cache.on_host.keys, "keys");
        expect_same_bits(cache.on_card.values, cache.on_host.values, "values");
      }
    });
}

// `kept` slots of [0, all), ascending.
std::vector<std::int32_t> some(int all, int kept, std::mt19937& rng) {
  std::vector<std::int32_t> every(static_cast<std::size_t>(all)), slots;
  std::iota(every.begin(), every.end(), 0);
  std::ranges::sample(every, std::back_inserter(slots), kept, rng);
  return slots;
}

TEST_P(CudaCache, GathersKeptEntriesOfLanes) {
  for (const int D : kDims)
    in_every_order([&] {
      const BothKv base = random_caches(card_, dtype_, {1, 2, 2, D, 150}, rng_),
                   tail = random_caches(card_, dtype_, {1, 2, 2, D, 20}, rng_);
      struct Case {
        int lane, of_base, of_tail;
      };
      const Case cases[] = {{0, 150, 0}, {1, 1, 0},  {0, 0, 0},  {1, 63, 2},
                            {1, 0, 17},  {0, 64, 0}, {1, 80, 20}};
      std::vector<Both> keys, values;
      std::vector<std::vector<std::int32_t>> slots;
      std::vector<GatherTask> on_host, on_card;
      for (const Case& c : cases) {
        const int rows = padded(c.of_base + c.of_tail);
        keys.emplace_back(card_, dtype_, std::vector<float>(static_cast<std::size_t>(rows * D), 5),
                          std::vector<int>{rows / kPanel, D, kPanel});
        values.emplace_back(card_, dtype_, std::vector<float>(static_cast<std::size_t>(rows * D), 5),
                            std::vector<int>{rows, D});
        slots.push_back(some(150, c.of_base, rng_));
        slots.push_back(some(20, c.of_tail, rng_));
      }
      for (std::size_t i = 0; i < std::size(cases); ++i) {
        const int lane = cases[i].lane;
        const auto task = [&](const DenseKv& b, const DenseKv& t, Tensor& to_keys, Tensor& to_values) {
          return GatherTask{{b.lane_keys(lane), b.lane_values(lane), slots[2 * i]},
                            to_keys.at(0),
                            to_values.at(0),
                            {t.lane_keys(lane), t.lane_values(lane), slots[2 * i + 1]}};
        };
        on_host.push_back(task(base.on_host, tail.on_host, keys[i].on_host, values[i].on_host));
        on_card.push_back(task(base.on_card, tail.on_card, keys[i].on_card, values[i].on_card));
      }
      host().ops().gather(host(), DType::kF32, D, on_host);
      cuda::gather(card_, dtype_, D, on_card);
      for (std::size_t i = 0; i < std::size(cases); ++i) {
        expect_same_bits(keys[i].on_card, keys[i].on_host, "keys of lane " + std::to_string(i));
        expect_same_bits(values[i].on_card, values[i].on_host, "values of lane " + std::to_string(i));
      }
    });
  cuda::gather(card_, dtype_, 8, {});
}

TEST_P(CudaCache, CombinesRows) {
  for (const int D : kDims)
    in_every_order([&] {
      const BothKv kv = random_caches(card_, dtype_, {1, 2, 2, D, 90}, rng_);
      Recipe recipe;
      for (const int terms : {1, 2, 90, 1, 17}) {
        const std::vector<std::int32_t> slots = some(90, terms, rng_);
        recipe.push(slots, normal_numbers(rng_, slots.size()));
      }
      const auto built = [&](Device& device, const auto& combine, DType dtype, const DenseKv& from) {
        std::vector<Tensor> rows;
        for (int i = 0; i < 2; ++i) rows.push_back(Tensor(device, DType::kF32, {recipe.rows(), D}));
        combine(device, dtype, from.lane_keys(1), from.lane_values(1), recipe, rows[0], rows[1]);
        return rows;
      };
      const auto want = built(host(), host().ops().combine, DType::kF32, kv.on_host);
      const auto got = built(card_, cuda::combine, dtype_, kv.on_card);
      expect_same_bits(got[0], want[0], "keys");
      expect_same_bits(got[1], want[1], "values");
    });
}

TEST_P(CudaCache, PutsRowsIntoALane) {
  for (const int D : kDims)
    for (const int n : {1, 15, 16, 53})
      in_every_order([&] {
        const Both keys = random_both(card_, DType::kF32, {n, D}, rng_),
                   values = random_both(card_, DType::kF32, {n, D}, rng_);
        DenseKv on_host(host(), 1, 1, n, D, DType::kF32), on_card(card_, 1, 1, n, D, dtype_);
        host().ops().put_rows(host(), keys.on_host, values.on_host, DType::kF32, on_host.lane_keys(0),
                              on_host.lane_values(0));
        cuda::put_rows(card_, keys.on_card, values.on_card, dtype_, on_card.lane_keys(0),
                       on_card.lane_values(0));
        expect_same_bits(on_card.keys.to_floats(), rounded(on_host.keys.to_floats(), dtype_), "keys");
        expect_same_bits(on_card.values.to_floats(), rounded(on_host.values.to_floats(), dtype_), "values");
      });
}

TEST_P(CudaCache, KeepsTheLastQueries) {
  constexpr int kLayers = 2, H = 3, kTokens = 23;
  for (const int D : {5, 64})
    for (const int W : {1, 4, 11, 23})
      for (const int piece : {6, 8, 23})
        in_every_order([&] {
          const auto zeros = [&](DType dtype, const std::vector<int>& dims) {
            return Both(card_, dtype, std::vector<float>(elements(dims), 0.0f), dims);
          };
          Both queries = zeros(dtype_, {kLayers, H, W, D}), sums = zeros(DType::kF32, {kLayers, H, W});
          for (int first = 0; first < kTokens; first += piece) {
            const int n = std::min(piece, kTokens - first);
            const Both q = random({n, H, D}), s = random_both(card_, DType::kF32, {n, H}, rng_);
            host().ops().keep_window(host(), q.on_host, s.on_host, 1, first, kTokens, queries.on_host,
                                     sums.on_host);
            cuda::keep_window(card_, q.on_card, s.on_card, 1, first, kTokens, queries.on_card, sums.on_card);
          }
          expect_same_bits(queries.on_card, queries.on_host, "queries");
          expect_same_bits(sums.on_card, sums.on_host, "log sums");
        });
}

TEST_P(CudaCache, GivesTheNormsOfKeysAndValues) {
  for (const int D : kDims)
    for (const int tokens : {1, 16, 139})
      in_every_order([&] {
        const BothKv kv = random_caches(card_, dtype_, {2, 6, 3, D, tokens}, rng_);
        expect_same_bits(cuda::key_norms(card_, kv.on_card, tokens),
                         host().ops().key_norms(host(), kv.on_host, tokens), "keys");
        expect_same_bits(cuda::value_norms(card_, kv.on_card, tokens),
                         host().ops().value_norms(host(), kv.on_host, tokens), "values");
      });
}

INSTANTIATE_TEST_SUITE_P(Every, CudaCache, testing::ValuesIn(kWorkingTypes),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

}  // namespace
}  // namespace evictbench
