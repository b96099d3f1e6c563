// Every instruction path gives the bits of a scalar reference that follows the rules of core/numerics.h.
#include "core/cpu/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "tests/support/scalar_attention.h"

namespace evictbench {
namespace {

using Rng = std::mt19937;

std::size_t size(int n) { return static_cast<std::size_t>(n); }

std::vector<float> normals(int n, Rng& rng, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> x(size(n));
  for (float& v : x) v = normal(rng);
  return x;
}

// Bit for bit, except that any NaN is a NaN.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

void expect_same(const std::vector<float>& got, const std::vector<float>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(same(got[i], want[i])) << what << ", number " << i << ": " << got[i] << " for " << want[i];
}

class Path : public testing::TestWithParam<const cpu::Kernels*> {
 protected:
  const cpu::Kernels& kernels() const { return *GetParam(); }
};

TEST(Paths, ThisMachineHas) {
  const auto here = cpu::available_kernels();
  ASSERT_FALSE(here.empty());
  EXPECT_EQ(here.front(), &cpu::kPortableKernels);
  for (const cpu::Kernels* path :
       {&cpu::kPortableKernels, &cpu::kAvx2Kernels, &cpu::kAvx512Kernels, &cpu::kAvx512Bf16Kernels}) {
    const bool runs = std::find(here.begin(), here.end(), path) != here.end();
    RecordProperty(path->name, runs ? "tested" : "missing");
    GTEST_LOG_(INFO) << "path " << path->name
                     << (runs ? " is tested" : " is missing on this machine: NOT tested");
  }
}

// y starts as a pattern, so that a write beyond the outputs shows.
void check_gemm(const cpu::Kernels& kernels, int rows, int depth, int outputs, bool bf16, Rng& rng) {
  const int x_stride = depth + 3, y_stride = outputs + 5;
  const std::vector<float> x = normals(rows * x_stride, rng), w = normals(outputs * depth, rng);
  std::vector<float> got(size(rows * y_stride), 77.0f), want = got;
  const int panels = (outputs + cpu::kWeightPanel - 1) / cpu::kWeightPanel;
  std::vector<float> full(size(panels * depth * cpu::kWeightPanel), 0.0f);  // [panels, depth, 32]
  std::vector<std::uint16_t> half(full.size(), 0);
  for (int o = 0; o < outputs; ++o)
    for (int k = 0; k < depth; ++k) {
      const std::size_t at =
          size((o / cpu::kWeightPanel * depth + k) * cpu::kWeightPanel + o % cpu::kWeightPanel);
      full[at] = w[size(o * depth + k)];
      half[at] = f32_to_bf16(full[at]);
    }
  std::vector<float> packed(size(rows * depth)),
      scratch(size(panels * cpu::kDepthPiece * cpu::kWeightPanel), NAN);
  kernels.pack_rows(x.data(), x_stride, rows, depth, packed.data());
  kernels.gemm(packed.data(), rows, bf16 ? static_cast<const void*>(half.data()) : full.data(), bf16, depth,
               outputs, got.data(), y_stride, scratch.data());
  for (int r = 0; r < rows; ++r)
    for (int o = 0; o < outputs; ++o) {
      float sum = 0;
      for (int k = 0; k < depth; ++k) {
        const float value = w[size(o * depth + k)];
        sum = std::fma(x[size(r * x_stride + k)], bf16 ? bf16_to_f32(f32_to_bf16(value)) : value, sum);
      }
      want[size(r * y_stride + o)] = sum;
    }
  expect_same(got, want,
              "rows " + std::to_string(rows) + ", depth " + std::to_string(depth) + ", outputs " +
                  std::to_string(outputs) + (bf16 ? ", bf16" : ", f32"));
}

TEST_P(Path, GemmIsOneChainOverDepth) {
  Rng rng(1);
  std::uniform_int_distribution<int> depths(1, 200), outputs(1, 70), row_counts(1, 29);
  for (const bool bf16 : {false, true}) {
    for (int rows = 1; rows <= 29; ++rows) check_gemm(kernels(), rows, depths(rng), outputs(rng), bf16, rng);
    for (int count = 1; count <= 70; ++count)
      check_gemm(kernels(), row_counts(rng), depths(rng), count, bf16, rng);
    for (int depth = 1; depth <= 200; ++depth)
      check_gemm(kernels(), row_counts(rng), depth, outputs(rng), bf16, rng);
    for (const int depth : {255, 256, 257, 512, 700})  // chains that are put down and taken up again
      for (const int rows : {1, 7, 40}) check_gemm(kernels(), rows, depth, 100, bf16, rng);
    if (HasFatalFailure()) return;
  }
}

// Mode bf16dot against its instruction in words, with subnormals among the numbers.
TEST_P(Path, PairProductsAreDotBf16OverPairs) {
  if (!kernels().gemm_pairs) GTEST_SKIP() << "no bf16 dot products on this path";
  Rng rng(12);
  const auto rounded = [](float x) {
    return numerics::flushed(bf16_to_f32(f32_to_bf16(numerics::flushed(x))));
  };
  for (const int depth : {1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 64, 100, 255, 513, 600})
    for (const int rows : {1, 5, 12, 13, 30})
      for (const int outputs : {1, 16, 33, 70}) {
        const int pairs = (depth + 1) / 2, panels = (outputs + cpu::kWeightPanel - 1) / cpu::kWeightPanel;
        std::vector<float> x = normals(rows * depth, rng), w = normals(outputs * depth, rng);
        for (std::size_t i = 0; i < x.size(); i += 7) x[i] *= 1e-38f;
        for (std::size_t i = 0; i < w.size(); i += 5) w[i] *= 1e-20f;
        std::vector<std::uint16_t> words(size(panels * pairs * cpu::kWeightPanel * 2), 0);
        for (int o = 0; o < outputs; ++o)
          for (int k = 0; k < depth; ++k)
            words[size(((o / cpu::kWeightPanel * pairs + k / 2) * cpu::kWeightPanel + o % cpu::kWeightPanel) *
                           2 +
                       k % 2)] = f32_to_bf16(w[size(o * depth + k)]);
        std::vector<float> paired(size(rows * pairs)), packed(paired.size()),
            got(size(rows * outputs), 77.0f), want = got;
        kernels().pair_rows(x.data(), rows, depth, paired.data());
        kernels().pack_rows(paired.data(), pairs, rows, pairs, packed.data());
        kernels().gemm_pairs(packed.data(), rows, words.data(), pairs, outputs, got.data(), outputs);
        for (int r = 0; r < rows; ++r)
          for (int o = 0; o < outputs; ++o) {
            float sum = 0;
            for (int k = 0; k < depth; k += 2) {
              const bool odd = k + 1 < depth;
              sum = numerics::dot_bf16(
                  sum, rounded(x[size(r * depth + k)]), odd ? rounded(x[size(r * depth + k + 1)]) : 0,
                  rounded(w[size(o * depth + k)]), odd ? rounded(w[size(o * depth + k + 1)]) : 0);
            }
            want[size(r * outputs + o)] = sum;
          }
        expect_same(got, want,
                    "rows " + std::to_string(rows) + ", depth " + std::to_string(depth) + ", outputs " +
                        std::to_string(outputs));
        if (HasFatalFailure()) return;
      }
}

float gelu(float x) {
  const float slope = 2 * 0.7978845608f * std::fma(0.044715f * (x * x), x, x);
  return x / (1.0f + numerics::exp(0.0f - slope));
}

TEST_P(Path, LayerNormFollowsItsDefinition) {
  Rng rng(20);
  for (int n = 1; n <= 150; ++n) {
    const std::vector<float> x = normals(n, rng, 3), w = normals(n, rng), b = normals(n, rng);
    std::vector<float> got(size(n)), want(size(n));
    float sums[16] = {}, squares[16] = {};
    for (int i = 0; i < n; ++i) sums[i % 16] += x[size(i)];
    const float mean = numerics::fold(sums) / static_cast<float>(n);
    for (int i = 0; i < n; ++i)
      squares[i % 16] = std::fma(x[size(i)] - mean, x[size(i)] - mean, squares[i % 16]);
    const float scale = 1.0f / std::sqrt(numerics::fold(squares) / static_cast<float>(n) + 1e-5f);
    for (int i = 0; i < n; ++i) want[size(i)] = (x[size(i)] - mean) * scale * w[size(i)] + b[size(i)];
    kernels().layer_norm(x.data(), w.data(), b.data(), n, 1e-5f, got.data());
    expect_same(got, want, "layer_norm of " + std::to_string(n));
    if (HasFatalFailure()) return;
  }
}

TEST_P(Path, RowOperationsFollowTheirDefinitions) {
  Rng rng(2);
  for (int n = 1; n <= 150; ++n) {
    const std::vector<float> x = normals(n, rng, 3), w = normals(n, rng);
    std::vector<float> got(size(n)), want(size(n));
    float acc[16] = {};
    for (int i = 0; i < n; ++i) acc[i % 16] = std::fma(x[size(i)], x[size(i)], acc[i % 16]);
    const float scale = 1.0f / std::sqrt(numerics::fold(acc) / static_cast<float>(n) + 1e-5f);
    for (int i = 0; i < n; ++i) want[size(i)] = x[size(i)] * scale * w[size(i)];
    kernels().rms_norm(x.data(), w.data(), n, 1e-5f, got.data());
    expect_same(got, want, "rms_norm of " + std::to_string(n));

    const std::vector<float> gate = normals(n, rng, 40);  // some beyond the ends of exp
    for (int i = 0; i < n; ++i)
      want[size(i)] = gate[size(i)] / (1.0f + numerics::exp(0.0f - gate[size(i)])) * w[size(i)];
    kernels().activate(Activation::kSilu, gate.data(), w.data(), got.data(), n);
    expect_same(got, want, "gated silu of " + std::to_string(n));
    for (int i = 0; i < n; ++i) want[size(i)] = gelu(gate[size(i)]) * w[size(i)];
    kernels().activate(Activation::kGelu, gate.data(), w.data(), got.data(), n);
    expect_same(got, want, "gated gelu of " + std::to_string(n));
    for (int i = 0; i < n; ++i) want[size(i)] = gelu(gate[size(i)]);
    kernels().activate(Activation::kGelu, gate.data(), nullptr, got.data(), n);
    expect_same(got, want, "gelu of " + std::to_string(n));

    got = gate;
    for (int i = 0; i < n; ++i) want[size(i)] = numerics::softcap(gate[size(i)], 30);
    kernels().softcap(30, got.data(), n);
    expect_same(got, want, "softcap of " + std::to_string(n));
    got = gate;
    for (int i = 0; i < n; ++i) want[size(i)] = gate[size(i)] * 0.7f;
    kernels().scale(0.7f, got.data(), n);
    expect_same(got, want, "scale of " + std::to_string(n));

    std::vector<float> sum = w;
    for (int i = 0; i < n; ++i) want[size(i)] = w[size(i)] + x[size(i)];
    kernels().add(x.data(), sum.data(), n);
    expect_same(sum, want, "add of " + std::to_string(n));
    if (HasFatalFailure()) return;
  }
}

TEST_P(Path, RotateTurnsHalvesAgainstEachOther) {
  Rng rng(3);
  for (int dim = 2; dim <= 130; dim += 2) {
    const int half = dim / 2;
    const std::vector<float> x = normals(dim, rng), cosines = normals(half, rng), sines = normals(half, rng);
    std::vector<float> got(size(dim)), want(size(dim));
    for (int i = 0; i < half; ++i) {
      const float a = x[size(i)], b = x[size(i + half)], c = cosines[size(i)], s = sines[size(i)];
      want[size(i)] = std::fma(-b, s, a * c);
      want[size(i + half)] = std::fma(a, s, b * c);
    }
    kernels().rotate(x.data(), cosines.data(), sines.data(), dim, half, got.data());
    expect_same(got, want, "rotate " + std::to_string(dim));
    std::vector<float> longer = x;  // dims that do not turn
    for (int i = 0; i < 5; ++i)
      longer.push_back(want[0] + static_cast<float>(i)), want.push_back(longer.back());
    got.resize(want.size());
    kernels().rotate(longer.data(), cosines.data(), sines.data(), dim + 5, half, got.data());
    expect_same(got, want, "rotate a part of " + std::to_string(dim + 5));
    if (HasFatalFailure()) return;
  }
}

TEST_P(Path, ExpRowIsTheScalarExpOfEveryKindOfFloat) {
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 4099)
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  for (const float corner : {0.0f, -0.0f, -87.0f, 88.0f, std::nextafter(-87.0f, -90.0f),
                             std::nextafter(88.0f, 90.0f), INFINITY, -INFINITY, NAN})
    x.push_back(corner);
  std::vector<float> want = x;
  for (float& v : want) v = numerics::exp(v);
  kernels().exp_row(x.data(), static_cast<int>(x.size()));
  expect_same(x, want, "exp_row");
  for (int n = 1; n < 40; ++n) {  // ends that fill no vector; what lies beyond stays
    std::vector<float> row(size(n) + 16, 1.0f);
    kernels().exp_row(row.data(), n);
    for (std::size_t i = 0; i < row.size(); ++i)
      ASSERT_EQ(row[i], i < size(n) ? numerics::exp(1.0f) : 1.0f) << n << ", " << i;
  }
}

// --- attention ---------------------------------------------------------------------------------------------------------

std::vector<float> key_panels(int entries, int dim, Rng& rng) {
  std::vector<float> keys(size(padded(entries) * dim), 0.0f);
  for (int e = 0; e < entries; ++e)
    for (int d = 0; d < dim; ++d) keys[size(static_cast<int>(key_index(e, dim, d)))] = normals(1, rng)[0];
  return keys;
}

LaneData lane_of(int dim, std::vector<std::int32_t> base, std::vector<std::int32_t> tail, Rng& rng) {
  LaneData lane;
  lane.dim = dim;
  lane.base = static_cast<int>(base.size());
  lane.tail = static_cast<int>(tail.size());
  lane.base_keys = key_panels(lane.base, dim, rng);
  lane.tail_keys = key_panels(lane.tail, dim, rng);
  lane.base_values = normals(lane.base * dim, rng);
  lane.tail_values = normals(lane.tail * dim, rng);
  lane.positions = std::move(base);
  lane.positions.insert(lane.positions.end(), tail.begin(), tail.end());
  for (std::size_t e = 1; e <= lane.positions.size(); ++e)
    if (e == lane.positions.size() || lane.positions[e] / 128 != lane.positions[e - 1] / 128)
      lane.block_ends.push_back(static_cast<std::int32_t>(e));
  return lane;
}

std::vector<std::int32_t> dense(int first, int count) {
  std::vector<std::int32_t> positions(size(count));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

// `kept` of the positions [0, tokens), ascending.
std::vector<std::int32_t> ragged(int tokens, int kept, Rng& rng) {
  std::vector<std::int32_t> all = dense(0, tokens), positions;
  std::sample(all.begin(), all.end(), std::back_inserter(positions), kept, rng);
  return positions;
}

// Row r sees the entries [from[r], seen[r]).
void check_attend(const cpu::Kernels& kernels, const LaneData& lane, const std::vector<int>& from,
                  const std::vector<int>& seen, Rng& rng) {
  const int rows = static_cast<int>(seen.size()), dim = lane.dim, entries = lane.base + lane.tail;
  int present = 0;
  for (int e = 0; e < entries; ++e) present += lane.has(e);
  std::vector<std::vector<float>> queries, out, probabilities;
  std::vector<float> log_sums(size(rows));
  for (int r = 0; r < rows; ++r) {
    queries.push_back(normals(dim, rng, 2));
    out.emplace_back(size(dim), 77.0f);
    probabilities.emplace_back(size(present), 77.0f);
  }
  std::vector<const float*> query;
  std::vector<float*> to, log_sum, probability;
  for (int r = 0; r < rows; ++r) {
    query.push_back(queries[size(r)].data());
    to.push_back(out[size(r)].data());
    log_sum.push_back(&log_sums[size(r)]);
    probability.push_back(probabilities[size(r)].data());
  }
  std::vector<float> scratch(cpu::attend_scratch(entries, dim, true), NAN);
  kernels.attend(
      lane.view(),
      {rows, query.data(), from.data(), seen.data(), to.data(), log_sum.data(), probability.data()}, dim,
      scratch.data());
  const auto out_of_all = out;
  scratch.assign(cpu::attend_scratch(entries, dim, false), NAN);  // span by span
  kernels.attend(lane.view(),
                 {rows, query.data(), from.data(), seen.data(), to.data(), log_sum.data(), nullptr}, dim,
                 scratch.data());
  EXPECT_EQ(out, out_of_all);
  for (int r = 0; r < rows; ++r) {
    const ScalarRow want = scalar_attention(lane, queries[size(r)], from[size(r)], seen[size(r)]);
    const std::string what = "dim " + std::to_string(dim) + ", base " + std::to_string(lane.base) +
                             ", tail " + std::to_string(lane.tail) + ", row " + std::to_string(r) + " of " +
                             std::to_string(rows) + " seeing " + std::to_string(from[size(r)]) + " to " +
                             std::to_string(seen[size(r)]);
    expect_same(out[size(r)], want.out, what + ": out");
    expect_same({log_sums[size(r)]}, {want.log_sum}, what + ": log sum");
    expect_same(probabilities[size(r)], want.probabilities, what + ": probabilities");
  }
}

// Rows that see everything, and rows that see prefixes, never fewer than `least` entries.
void check_limits(const cpu::Kernels& kernels, const LaneData& lane, int least, Rng& rng) {
  const int entries = lane.base + lane.tail;
  for (int rows = 1; rows <= cpu::kMaxRows; ++rows) {
    std::vector<int> seen(size(rows), entries);
    if (rows % 3 == 0)  // consecutive limits, as in a prefill
      for (int r = 0; r < rows; ++r) seen[size(r)] = std::max(least, entries - rows + 1 + r);
    if (rows % 3 == 1)
      for (int& n : seen) n = std::uniform_int_distribution<int>(least, entries)(rng);
    check_attend(kernels, lane, std::vector<int>(size(rows), 0), seen, rng);
    std::vector<int> from;  // windows, each with an entry that is there
    for (const int n : seen) {
      int last = n - 1;
      while (last > 0 && !lane.has(last)) --last;
      from.push_back(std::uniform_int_distribution<int>(0, last)(rng));
    }
    LaneData capped = lane;
    capped.softcap = 2;
    check_attend(kernels, rows % 2 == 0 ? lane : capped, from, seen, rng);
    if (testing::Test::HasFatalFailure()) return;
  }
}

constexpr int kDims[] = {8, 16, 24, 64, 80};

TEST_P(Path, AttendOverADenseLane) {
  Rng rng(4);
  for (const int dim : kDims)
    for (const int entries : {1, 15, 16, 17, 127, 128, 129, 300, 520, 2100}) {
      check_limits(kernels(), lane_of(dim, dense(0, entries), {}, rng), 1, rng);
      if (HasFatalFailure()) return;
    }
}

TEST_P(Path,
       AttendOverRunsThatStartInsideABlock) {  // sinks and a recent window: contiguous, off the block's start
  Rng rng(77);
  std::vector<std::int32_t> positions = dense(0, 4), window = dense(437, 84);
  positions.insert(positions.end(), window.begin(), window.end());
  check_limits(kernels(), lane_of(24, positions, dense(521, 5), rng), 1, rng);
  check_limits(kernels(), lane_of(24, dense(37, 60), {}, rng), 1, rng);
}

TEST_P(Path, AttendOverKeptPositions) {
  Rng rng(5);
  for (const int dim : kDims)
    for (const auto& [tokens, kept] :
         {std::pair{40, 7}, {300, 150}, {1000, 37}, {700, 690}, {5000, 100}, {5000, 2500}}) {
      check_limits(kernels(), lane_of(dim, ragged(tokens, kept, rng), {}, rng), 1, rng);
      if (HasFatalFailure()) return;
    }
}

TEST_P(Path, AttendOverABaseAndATailInOneBlock) {
  Rng rng(6);
  for (const int dim : kDims)
    for (const auto& [tokens, kept, tail] : {std::tuple{200, 200, 1},
                                             {200, 200, 70},
                                             {130, 50, 140},
                                             {256, 100, 5},
                                             {3, 3, 20},
                                             {2000, 1500, 600}}) {
      check_limits(kernels(), lane_of(dim, ragged(tokens, kept, rng), dense(tokens, tail), rng), 1, rng);
      if (HasFatalFailure()) return;
    }
  check_limits(kernels(), lane_of(16, {}, dense(0, 40), rng), 1, rng);
}

TEST_P(Path, AttendSkipsAbsentKeys) {
  Rng rng(7);
  for (const int dim : kDims)
    for (const double share : {0.05, 0.5, 0.97}) {
      LaneData lane = lane_of(dim, dense(0, 400), dense(400, 30), rng);
      lane.present.assign(7, 0);
      std::bernoulli_distribution keep(share);
      for (int e = 0; e < lane.base; ++e)
        if (e == 2 || ((e < 128 || e >= 256) && keep(rng)))  // [128, 256) is an empty block
          lane.present[size(e / 64)] |= std::uint64_t{1} << (e % 64);
      check_limits(kernels(), lane, 3, rng);
      if (HasFatalFailure()) return;
    }
}

TEST_P(Path, AttendAddsABias) {
  Rng rng(8);
  for (const int dim : kDims) {
    LaneData lane = lane_of(dim, ragged(500, 210, rng), dense(500, 25), rng);
    lane.bias = normals(lane.base, rng, 3);
    check_limits(kernels(), lane, 1, rng);
    lane.present.assign(4, 0xfffff0f7ffff7fffu);
    check_limits(kernels(), lane, 1, rng);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Path, AttendIsDenseAttentionWithTheAbsentTakenOut) {
  Rng rng(9);
  const int dim = 24;
  LaneData masked = lane_of(dim, dense(0, 300), dense(300, 9), rng);
  masked.present.assign(5, 0x9249249249249249u);
  std::vector<std::int32_t> kept;
  for (int e = 0; e < 300; ++e)
    if (masked.has(e)) kept.push_back(e);
  LaneData gathered = lane_of(dim, kept, dense(300, 9), rng);
  gathered.tail_keys = masked.tail_keys, gathered.tail_values = masked.tail_values;
  for (int i = 0; i < gathered.base; ++i)
    for (int d = 0; d < dim; ++d) {
      const int e = kept[size(i)];
      gathered.base_keys[size(static_cast<int>(key_index(i, dim, d)))] = masked.key(e, d);
      gathered.base_values[size(i * dim + d)] = masked.value(e, d);
    }
  const std::vector<float> query = normals(dim, rng);
  const auto run = [&](const LaneData& lane) {
    const int seen = lane.base + lane.tail;
    std::vector<float> out(size(dim + 1)), scratch(cpu::attend_scratch(seen, dim, false));
    const float* q = query.data();
    float *to = out.data(), *log_sum = out.data() + dim;
    const int from = 0;
    kernels().attend(lane.view(), {1, &q, &from, &seen, &to, &log_sum, nullptr}, dim, scratch.data());
    return out;
  };
  expect_same(run(masked), run(gathered), "a mask and a copy");
}

// --- statistics of attention -------------------------------------------------------------------------------------------

float attention_of(const float* query, const std::vector<float>& keys, int key, int dim, float log_sum,
                   float softcap) {
  float logit = 0;
  for (int d = 0; d < dim; ++d)
    logit = std::fma(query[d], keys[size((key / 16 * dim + d) * 16 + key % 16)], logit);
  logit *= 1.0f / std::sqrt(static_cast<float>(dim));
  if (softcap > 0) logit = numerics::softcap(logit, softcap);
  return numerics::exp(logit - log_sum);
}

constexpr AttentionForm kForms[] = {{0, 0}, {1, 0}, {9, 2}, {40, 0}, {1000, 5}};

float reduced(const std::vector<float>& p, Reduction how) {  // newest first
  float sum = 0, most = 0, entropy = 0, squares = 0;
  for (const float x : p) {
    sum = sum + x;
    most = std::max(most, x);
    entropy = std::fma(-x, numerics::log(x + 1e-10f), entropy);
  }
  if (how == Reduction::kSum) return sum;
  if (how == Reduction::kMax) return most;
  if (how == Reduction::kEntropy) return entropy;
  const float mean = sum / static_cast<float>(p.size());
  for (const float x : p) squares = std::fma(x - mean, x - mean, squares);
  return squares / static_cast<float>(p.size() > 1 ? p.size() - 1 : 1);
}

TEST_P(Path, WindowRowReducesTheAttentionOfTheLastQueries) {
  Rng rng(10);
  for (const int dim : kDims)
    for (const int window : {1, 2, 7, 32, 65})
      for (const int tokens : {65, 80, 97, 112, 131}) {
        const int panels = (tokens + 15) / 16;
        const std::vector<float> queries = normals(window * dim, rng), log_sums = normals(window, rng, 0.5f),
                                 keys = normals(panels * 16 * dim, rng);
        const AttentionForm& form = kForms[size((tokens + window) % 5)];
        const std::vector<Reduction> how{Reduction::kSum, Reduction::kMax, Reduction::kVariance,
                                         Reduction::kEntropy};
        std::vector<std::vector<float>> got(how.size(), std::vector<float>(size(tokens + 1), 77.0f)),
            want(how.size());
        for (int t = 0; t < tokens; ++t) {
          std::vector<float> column;
          for (int w = 0; w < window; ++w)
            column.push_back(
                t <= tokens - 1 - w && (form.window == 0 || t > tokens - 1 - w - form.window)
                    ? attention_of(queries.data() + w * dim, keys, t, dim, log_sums[size(w)], form.softcap)
                    : 0.0f);
          for (std::size_t i = 0; i < how.size(); ++i) want[i].push_back(reduced(column, how[i]));
        }
        std::vector<float> scratch(size(window * (32 + dim)), NAN), alone(size(tokens + 1), 77.0f);
        std::vector<float*> out;
        for (auto& table : got) out.push_back(table.data());
        kernels().window_row(queries.data(), log_sums.data(), window, keys.data(), tokens, dim, form,
                             how.data(), 4, out.data(), scratch.data());
        out = {alone.data()};
        kernels().window_row(queries.data(), log_sums.data(), window, keys.data(), tokens, dim, form, &how[2],
                             1, out.data(), scratch.data());
        const std::string which = "window " + std::to_string(window) + ", tokens " + std::to_string(tokens);
        for (std::size_t i = 0; i < how.size(); ++i) {
          want[i].push_back(77.0f);  // nothing is written beyond
          expect_same(got[i], want[i], which + ", reduction " + std::to_string(i));
        }
        expect_same(alone, want[2], which + ", variance alone");
        if (HasFatalFailure()) return;
      }
}

TEST_P(Path, NormsFoldSixteenSums) {
  Rng rng(12);
  for (const int dim : kDims) {
    const std::vector<float> panel = normals(16 * dim, rng);
    std::vector<float> got(16), want;
    for (int key = 0; key < 16; ++key) {
      std::vector<float> row;
      for (int d = 0; d < dim; ++d) row.push_back(panel[size(d * 16 + key)]);
      want.push_back(std::sqrt(numerics::square_sum(row.data(), dim)));
      EXPECT_EQ(kernels().norm(row.data(), dim), want.back());
    }
    kernels().key_norms(panel.data(), dim, got.data());
    expect_same(got, want, "dim " + std::to_string(dim));
  }
}

TEST_P(Path, ColumnSumsAddRowsOldestFirst) {
  Rng rng(11);
  for (const int dim : kDims)
    for (const int rows : {1, 5, cpu::kMaxRows})
      for (const int panels : {1, 2, 5})
        for (const auto& [position, first] :
             {std::pair{0, 0}, {0, 16}, {0, 32}, {10, 16}, {100, 16}, {16, 0}, {0, 64}, {100, 64}}) {
          const int stride = 3, keys = 16 * panels;
          const std::vector<float> queries = normals(rows * dim, rng), log_sums = normals(rows * stride, rng),
                                   cache = normals(keys * dim, rng);
          const AttentionForm& form = kForms[size((rows + panels + position + first) % 5)];
          std::vector<float> got = normals(keys, rng), want = got;
          for (int r = 0; r < rows; ++r)
            for (int i = 0; i < keys && first + i <= position + r; ++i)
              if (form.window == 0 || first + i > position + r - form.window)
                want[size(i)] += attention_of(queries.data() + r * dim, cache, i, dim,
                                              log_sums[size(r * stride)], form.softcap);
          std::vector<float> packed(size(rows * dim), NAN), scratch(size(cpu::kMaxRows * keys), NAN);
          kernels().pack_rows(queries.data(), dim, rows, dim, packed.data());
          kernels().column_sums(packed.data(), log_sums.data(), stride, rows, position, cache.data(), first,
                                panels, dim, form, got.data(), scratch.data());
          expect_same(got, want,
                      "rows " + std::to_string(rows) + " from " + std::to_string(position) + ", " +
                          std::to_string(panels) + " panels from " + std::to_string(first));
          if (HasFatalFailure()) return;
        }
}

INSTANTIATE_TEST_SUITE_P(Every, Path, testing::ValuesIn(cpu::available_kernels()),
                         [](const auto& path) { return std::string(path.param->name); });

}  // namespace
}  // namespace evictbench
