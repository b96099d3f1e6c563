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
#include "tests/support/kernel_path.h"
#include "tests/support/scalar_attention.h"

namespace evictbench {
namespace {

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

float as_stored(DType dtype, float x) {
  if (dtype == DType::kF16) return f16_to_f32(f32_to_f16(x));
  return dtype == DType::kBF16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

// y starts as a pattern, so that a write beyond the outputs shows.
void check_gemm(const cpu::Kernels& kernels, int rows, int depth, int outputs, DType dtype, Rng& rng) {
  const int x_stride = depth + 3, y_stride = outputs + 5;
  const std::vector<float> x = normals(rows * x_stride, rng);
  std::vector<float> w = normals(outputs * depth, rng);
  for (std::size_t i = 0; i < w.size(); i += 5) w[i] *= 1e-6f;  // subnormals of f16
  std::vector<float> got(size(rows * y_stride), 77.0f), want = got;
  const int panels = (outputs + cpu::kWeightPanel - 1) / cpu::kWeightPanel;
  std::vector<float> full(size(panels * depth * cpu::kWeightPanel), 0.0f);  // [panels, depth, 32]
  std::vector<std::uint16_t> half(full.size(), 0);
  for (int o = 0; o < outputs; ++o)
    for (int k = 0; k < depth; ++k) {
      const std::size_t at =
          size((o / cpu::kWeightPanel * depth + k) * cpu::kWeightPanel + o % cpu::kWeightPanel);
      full[at] = w[size(o * depth + k)];
      half[at] = dtype == DType::kF16 ? f32_to_f16(full[at]) : f32_to_bf16(full[at]);
    }
  std::vector<float> packed(size(rows * depth)), scratch(size(cpu::kDepthPiece * cpu::kWeightPanel), NAN);
  kernels.pack_rows(x.data(), x_stride, rows, depth, packed.data());
  kernels.gemm(packed.data(), rows,
               dtype == DType::kF32 ? static_cast<const void*>(full.data()) : half.data(), dtype, depth,
               outputs, got.data(), y_stride, scratch.data());
  for (int r = 0; r < rows; ++r)
    for (int o = 0; o < outputs; ++o) {
      float sum = 0;
      for (int k = 0; k < depth; ++k) {
        sum = std::fma(x[size(r * x_stride + k)], as_stored(dtype, w[size(o * depth + k)]), sum);
      }
      want[size(r * y_stride + o)] = sum;
    }
  expect_same(got, want,
              "rows " + std::to_string(rows) + ", depth " + std::to_string(depth) + ", outputs " +
                  std::to_string(outputs) + ", " + std::string(name_of(dtype)));
}

TEST_P(Path, GemmIsOneChainOverDepth) {
  Rng rng(1);
  std::uniform_int_distribution<int> depths(1, 200), outputs(1, 70), row_counts(1, 29);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (int rows = 1; rows <= 29; ++rows) check_gemm(kernels(), rows, depths(rng), outputs(rng), dtype, rng);
    for (int count = 1; count <= 70; ++count)
      check_gemm(kernels(), row_counts(rng), depths(rng), count, dtype, rng);
    for (int depth = 1; depth <= 200; ++depth)
      check_gemm(kernels(), row_counts(rng), depth, outputs(rng), dtype, rng);
    for (const int depth : {255, 1023, 1024, 1025, 2500})  // chains that are put down and taken up again
      for (const int rows : {1, 7, 40}) check_gemm(kernels(), rows, depth, 100, dtype, rng);
    if (HasFatalFailure()) return;
  }
}

// Mode bf16dot against its instruction in words, with subnormals among the numbers.
TEST_P(Path, PairProductsAreDotBf16OverPairs) {
  if (!kernels().gemm_pairs) GTEST_SKIP() << "no bf16 dot products on this path";
  Rng rng(12);
  for (const int depth : {1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 64, 100, 255, 600, 2049, 4500})
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
        std::vector<float> packed(size(rows * pairs)), got(size(rows * outputs), 77.0f), want = got;
        kernels().pack_pairs(x.data(), rows, depth, packed.data());
        kernels().gemm_pairs(packed.data(), rows, words.data(), pairs, outputs, got.data(), outputs);
        for (int r = 0; r < rows; ++r)
          for (int o = 0; o < outputs; ++o)
            want[size(r * outputs + o)] = scalar_product(
                0, depth, Products::kPairs, [&](int k) { return x[size(r * depth + k)]; },
                [&](int k) { return w[size(o * depth + k)]; });
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

// --- statistics of attention -------------------------------------------------------------------------------------------

constexpr int kDims[] = {8, 16, 24, 64, 80};

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
