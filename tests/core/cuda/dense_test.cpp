// Dense rows on the CUDA device: in mode f32 the bits of the CPU, in two bytes the exact result, rounded once.
#include <numeric>

#include "core/cuda/ops.h"
#include "tests/support/cuda.h"
#include "tests/support/cuda_rows.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

using Dense = CudaTest;

constexpr DType kTwoBytes[] = {DType::kBF16, DType::kF16};
constexpr float kEps = 1e-5f;
constexpr double kSlack = 1e-5;  // a few roundings of f32, of numbers up to about ten

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

// Numbers of normal size, and a few that test the ends of exp().
std::vector<float> numbers(std::mt19937& rng, int n) {
  std::vector<float> x = normal_numbers(rng, size(n), 3);
  const float ends[] = {0.0f, -0.0f, 90.0f, -90.0f, 87.5f, -87.5f, 1e-30f, -200.0f};
  for (int i = 0; i < std::ssize(ends) && 5 * i + 2 < n; ++i) x[size(5 * i + 2)] = ends[i];
  return x;
}

// Both devices get the same numbers, each works on its own tensors.
struct Pair {
  Pair(Device& card, const std::vector<float>& x, const std::vector<int>& dims)
      : cpu(tensor_of(host(), DType::kF32, x, dims)), cuda(tensor_of(card, DType::kF32, x, dims)) {}
  Pair(Device& card, std::mt19937& rng, const std::vector<int>& dims)
      : Pair(card, numbers(rng, std::accumulate(dims.begin(), dims.end(), 1, std::multiplies<>())), dims) {}
  void expect_equal(const char* what) const { EXPECT_EQ(bits_of(cuda), bits_of(cpu)) << what; }
  Tensor cpu, cuda;
};

TEST_F(Dense, F32GivesTheBitsOfTheCpu) {
  CudaDevice card(DType::kF32);
  const Ops& cpu = host().ops();
  const int shapes[][2] = {{1, 1}, {3, 7}, {5, 64}, {2, 200}, {17, 33}, {1, 2050}};
  in_every_order([&] {
    std::mt19937 rng(1);
    for (const auto& [N, C] : shapes) {
      const Pair x(card, rng, {N, C}), weight(card, rng, {C}), bias(card, rng, {C}),
          wide(card, rng, {N, 2 * C});
      Pair y(card, rng, {N, C});
      cpu.rms_norm(host(), x.cpu, weight.cpu, kEps, y.cpu);
      cuda::rms_norm(card, x.cuda, weight.cuda, kEps, y.cuda);
      y.expect_equal("rms_norm");
      cpu.layer_norm(host(), x.cpu, weight.cpu, bias.cpu, kEps, y.cpu);
      cuda::layer_norm(card, x.cuda, weight.cuda, bias.cuda, kEps, y.cuda);
      y.expect_equal("layer_norm");
      cpu.add(host(), x.cpu, y.cpu);
      cuda::add(card, x.cuda, y.cuda);
      y.expect_equal("add");
      cpu.add_bias(host(), bias.cpu, y.cpu);
      cuda::add_bias(card, bias.cuda, y.cuda);
      y.expect_equal("add_bias");
      cpu.scale(host(), 0.37f, y.cpu);
      cuda::scale(card, 0.37f, y.cuda);
      y.expect_equal("scale");
      cpu.softcap(host(), 2.5f, y.cpu);
      cuda::softcap(card, 2.5f, y.cuda);
      y.expect_equal("softcap");
      for (const Activation kind : {Activation::kSilu, Activation::kGelu})
        for (const Pair* from : {&x, &wide}) {
          cpu.activate(host(), kind, from->cpu, y.cpu);
          cuda::activate(card, kind, from->cuda, y.cuda);
          y.expect_equal("activate");
        }
    }
  });
}

TEST_F(Dense, F32HeadsGiveTheBitsOfTheCpu) {
  CudaDevice card(DType::kF32);
  const Ops& cpu = host().ops();
  struct Shape {
    int N, H, G, D, pairs;
  };
  in_every_order([&] {
    std::mt19937 rng(2);
    for (const auto& [N, H, G, D, pairs] :
         {Shape{5, 4, 2, 32, 16}, Shape{3, 6, 3, 24, 5}, Shape{2, 2, 1, 64, 8}, Shape{3, 2, 2, 7, 0},
          Shape{1, 3, 1, 1, 0}, Shape{2, 1, 1, 256, 128}}) {
      Pair qkv(card, rng, {N, (H + 2 * G) * D});
      const Pair weight(card, rng, {D});
      cpu.norm_heads(host(), weight.cpu, kEps, 0, H, qkv.cpu);
      cuda::norm_heads(card, weight.cuda, kEps, 0, H, qkv.cuda);
      cpu.norm_heads(host(), weight.cpu, kEps, H, G, qkv.cpu);
      cuda::norm_heads(card, weight.cuda, kEps, H, G, qkv.cuda);
      qkv.expect_equal("norm_heads");
      if (pairs == 0) {
        Tensor q(card, DType::kF32, {N, H, D}), k(card, DType::kF32, {N, G, D}),
            v(card, DType::kF32, {N, G, D});
        cuda::split_rotate(card, qkv.cuda, {}, {}, q, k, v);
        Pair of_cpu(card, rng, {N, H, D}), k_cpu(card, rng, {N, G, D}), v_cpu(card, rng, {N, G, D});
        cpu.split_rotate(host(), qkv.cpu, {}, {}, of_cpu.cpu, k_cpu.cpu, v_cpu.cpu);
        EXPECT_EQ(bits_of(q), bits_of(of_cpu.cpu));
        EXPECT_EQ(bits_of(k), bits_of(k_cpu.cpu));
        EXPECT_EQ(bits_of(v), bits_of(v_cpu.cpu));
        continue;
      }
      const Pair cosines(card, rng, {N, pairs}), sines(card, rng, {N, pairs});
      Pair q(card, rng, {N, H, D}), k(card, rng, {N, G, D}), v(card, rng, {N, G, D}), rows(card, rng, {N, D});
      cpu.split_rotate(host(), qkv.cpu, cosines.cpu, sines.cpu, q.cpu, k.cpu, v.cpu);
      cuda::split_rotate(card, qkv.cuda, cosines.cuda, sines.cuda, q.cuda, k.cuda, v.cuda);
      q.expect_equal("q");
      k.expect_equal("k");
      v.expect_equal("v");
      cpu.rotate(host(), cosines.cpu, sines.cpu, rows.cpu);
      cuda::rotate(card, cosines.cuda, sines.cuda, rows.cuda);
      rows.expect_equal("rotate");
    }
  });
}

TEST_F(Dense, TakenRowsAreThoseOfTheTable) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(3);
  const std::vector<std::int32_t> rows{4, 0, 4, 2};
  in_every_order([&] {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
      for (const int columns : {1, 6, 16, 300}) {
        const std::vector<float> x = normal_numbers(rng, size(5 * columns));
        const Tensor table = tensor_of(card, dtype, x, {5, columns});
        Tensor out(card, dtype, {4, columns});
        cuda::take_rows(card, table, rows, out);
        const std::vector<float> got = out.to_floats();
        for (std::size_t i = 0; i < got.size(); ++i)
          ASSERT_EQ(got[i],
                    rounded_to(dtype, x[size(rows[i / size(columns)]) * size(columns) + i % size(columns)]));
      }
  });
  Tensor out(card, DType::kF32, {3, 2});
  EXPECT_THROW(cuda::take_rows(card, out, rows, out), Error);
}

// What a norm gives, in f64.
std::vector<double> normed(const std::vector<float>& x, const std::vector<float>& weight,
                           const std::vector<float>& bias) {
  std::vector<double> out;
  for (std::size_t first = 0; first < x.size(); first += weight.size()) {
    const std::vector<double> row(x.begin() + std::ptrdiff_t(first),
                                  x.begin() + std::ptrdiff_t(first + weight.size()));
    const double n = static_cast<double>(row.size());
    const double mean = bias.empty() ? 0 : std::accumulate(row.begin(), row.end(), 0.0) / n;
    double squares = 0;
    for (const double v : row) squares += (v - mean) * (v - mean);
    for (std::size_t i = 0; i < row.size(); ++i)
      out.push_back((row[i] - mean) / std::sqrt(squares / n + double{kEps}) * double{weight[i]} +
                    (bias.empty() ? 0.0 : double{bias[i]}));
  }
  return out;
}

std::vector<float> rounded_numbers(std::mt19937& rng, DType dtype, std::int64_t n) {
  std::vector<float> x = normal_numbers(rng, size(n));
  for (float& v : x) v = rounded_to(dtype, v);
  return x;
}

TEST_F(Dense, NormsOfTwoBytesAreExactButForOneRounding) {
  const int shapes[][2] = {{3, 7}, {5, 64}, {2, 520}, {3, 1032}};  // by 16 threads, packed or not, by a block
  for (const DType dtype : kTwoBytes) {
    CudaDevice card(dtype);
    in_every_order([&] {
      std::mt19937 rng(4);
      for (const auto& [N, C] : shapes)
        for (const DType from : {DType::kF32, dtype}) {
          const std::vector<float> x = rounded_numbers(rng, from, N * C), w = normal_numbers(rng, size(C)),
                                   b = normal_numbers(rng, size(C));
          const Tensor rows = tensor_of(card, from, x, {N, C}), weight = tensor_of(card, DType::kF32, w, {C}),
                       bias = tensor_of(card, DType::kF32, b, {C});
          Tensor y(card, dtype, {N, C});
          cuda::rms_norm(card, rows, weight, kEps, y);
          expect_rounded(y, normed(x, w, {}), kSlack);
          cuda::layer_norm(card, rows, weight, bias, kEps, y);
          expect_rounded(y, normed(x, w, b), kSlack);
        }
    });
  }
}

TEST_F(Dense, NormsOfARowDependOnNoOther) {
  CudaDevice card(DType::kBF16);
  std::mt19937 rng(5);
  for (const int C : {48, 1032}) {
    const int N = 9;
    const std::vector<float> x = normal_numbers(rng, size(N * C));
    const Tensor weight = tensor_of(card, DType::kF32, normal_numbers(rng, size(C)), {C});
    Tensor all(card, DType::kBF16, {N, C}), one(card, DType::kBF16, {1, C});
    cuda::rms_norm(card, tensor_of(card, DType::kF32, x, {N, C}), weight, kEps, all);
    const std::vector<float> together = all.to_floats();
    for (int n = 0; n < N; ++n) {
      const std::vector<float> row(x.begin() + n * C, x.begin() + (n + 1) * C);
      cuda::rms_norm(card, tensor_of(card, DType::kF32, row, {1, C}), weight, kEps, one);
      EXPECT_EQ(one.to_floats(), std::vector(together.begin() + n * C, together.begin() + (n + 1) * C));
    }
  }
}

TEST_F(Dense, ElementsOfTwoBytesAreExactButForOneRounding) {
  for (const DType dtype : kTwoBytes) {
    CudaDevice card(dtype);
    in_every_order([&] {
      std::mt19937 rng(6);
      for (const int C : {5, 72}) {
        const int N = 4;
        const std::vector<float> x = rounded_numbers(rng, dtype, 2 * N * C),
                                 s = normal_numbers(rng, size(N * C));
        std::vector<double> exact(size(N * C));
        const auto expect = [&](const Tensor& got, const auto& of) {
          for (std::size_t i = 0; i < exact.size(); ++i) exact[i] = of(i);
          expect_rounded(got, exact, kSlack);
        };
        const std::vector<float> half(x.begin(), x.begin() + N * C);
        const Tensor rows = tensor_of(card, dtype, half, {N, C});

        Tensor sum = tensor_of(card, DType::kF32, s, {N, C});
        cuda::add(card, rows, sum);
        expect(sum, [&](std::size_t i) { return double{x[i]} + double{s[i]}; });

        Tensor biased = tensor_of(card, dtype, half, {N, C});
        const Tensor bias = tensor_of(card, DType::kF32, {s.begin(), s.begin() + C}, {C});
        cuda::add_bias(card, bias, biased);
        expect(biased, [&](std::size_t i) { return double{x[i]} + double{s[i % size(C)]}; });

        Tensor scaled = tensor_of(card, dtype, half, {N, C});
        cuda::scale(card, 0.37f, scaled);
        expect(scaled, [&](std::size_t i) { return double{x[i]} * double{0.37f}; });

        const Tensor wide = tensor_of(card, dtype, x, {N, 2 * C});
        Tensor y(card, dtype, {N, C});
        for (const Activation kind : {Activation::kSilu, Activation::kGelu}) {
          const auto activated = [&](double v) {
            const double slope =
                kind == Activation::kSilu ? v : 2 * 0.7978845608028654 * (v + 0.044715 * v * v * v);
            return v / (1 + std::exp(-slope));
          };
          cuda::activate(card, kind, wide, y);
          expect(y, [&](std::size_t i) {
            const std::size_t gate = i / size(C) * size(2 * C) + i % size(C);
            return activated(x[gate]) * double{x[gate + size(C)]};
          });
          cuda::activate(card, kind, rows, y);
          expect(y, [&](std::size_t i) { return activated(x[i]); });
        }
      }
    });
  }
}

TEST_F(Dense, HeadsOfTwoBytesAreExactButForOneRounding) {
  struct Shape {
    int N, H, G, D, pairs;
  };
  for (const DType dtype : kTwoBytes) {
    CudaDevice card(dtype);
    in_every_order([&] {
      std::mt19937 rng(7);
      for (const auto& [N, H, G, D, pairs] :
           {Shape{3, 4, 2, 32, 16}, Shape{2, 3, 1, 10, 3}, Shape{2, 2, 2, 128, 64}}) {
        const int heads = H + 2 * G;
        std::vector<float> x = rounded_numbers(rng, dtype, N * heads * D);
        const std::vector<float> w = normal_numbers(rng, size(D)), c = normal_numbers(rng, size(N * pairs)),
                                 s = normal_numbers(rng, size(N * pairs));
        Tensor qkv = tensor_of(card, dtype, x, {N, heads * D});
        const Tensor cosines = tensor_of(card, DType::kF32, c, {N, pairs}),
                     sines = tensor_of(card, DType::kF32, s, {N, pairs});
        cuda::norm_heads(card, tensor_of(card, DType::kF32, w, {D}), kEps, H, G, qkv);
        const std::vector<double> of_all = normed(x, w, {});
        std::vector<double> exact(x.begin(), x.end());
        for (int n = 0; n < N; ++n)
          for (int i = H * D; i < (H + G) * D; ++i)
            exact[size(n * heads * D + i)] = of_all[size(n * heads * D + i)];
        expect_rounded(qkv, exact, kSlack);

        x = qkv.to_floats();
        std::vector<double> turned[3];
        for (int n = 0; n < N; ++n)
          for (int h = 0; h < heads; ++h)
            for (int d = 0; d < D; ++d) {
              const auto at = [&](int i) { return double{x[size((n * heads + h) * D + i)]}; };
              const auto cosine = [&](int i) { return double{c[size(n * pairs + i)]}; };
              const auto sine = [&](int i) { return double{s[size(n * pairs + i)]}; };
              double v = at(d);
              if (h < H + G && d < pairs)
                v = at(d) * cosine(d) - at(d + pairs) * sine(d);
              else if (h < H + G && d < 2 * pairs)
                v = at(d) * cosine(d - pairs) + at(d - pairs) * sine(d - pairs);
              turned[h < H ? 0 : h < H + G ? 1 : 2].push_back(v);
            }
        Tensor q(card, dtype, {N, H, D}), k(card, dtype, {N, G, D}), v(card, dtype, {N, G, D});
        cuda::split_rotate(card, qkv, cosines, sines, q, k, v);
        expect_rounded(q, turned[0], kSlack);
        expect_rounded(k, turned[1], kSlack);
        expect_rounded(v, turned[2], 0);
      }
    });
  }
}

TEST_F(Dense, BestIsTheFirstOfTheGreatest) {
  CudaDevice card(DType::kF32);
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNaN = std::numeric_limits<float>::quiet_NaN();
  in_every_order([&] {
    std::mt19937 rng(8);
    for (const int V : {1, 7, 64, 5000, 5001}) {
      const int N = 9;
      std::vector<float> x = normal_numbers(rng, size(N * V));
      const auto last = [&](int n) -> float& { return x[size(n * V + V - 1)]; };
      for (int i = 0; i < V; ++i) {
        x[size(0 * V + i)] = i % 2 ? 0.0f : -0.0f;  // all are the greatest
        x[size(1 * V + i)] = static_cast<float>(i / 3 % 5);
        x[size(2 * V + i)] = -std::numeric_limits<float>::max();
      }
      last(3) = kNaN;
      last(4) = kInf;
      last(5) = -kInf;
      last(6) = std::numeric_limits<float>::max();
      const Tensor logits = tensor_of(card, DType::kF32, x, {N, V});
      EXPECT_EQ(cuda::best(card, logits),
                host().ops().best(host(), tensor_of(host(), DType::kF32, x, {N, V})))
          << V;
    }
  });
}

TEST_F(Dense, BestOfALargeVocabulary) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(9);
  const int V = 256 << 10;
  std::vector<float> x = normal_numbers(rng, size(2 * V));
  x[size(V - 3)] = x[size(V - 2)] = x[size(2 * V - 1)] = 100;
  EXPECT_EQ(cuda::best(card, tensor_of(card, DType::kF32, x, {2, V})),
            (std::vector<std::int32_t>{V - 3, V - 1}));
}

TEST_F(Dense, NoRowsAreNoWork) {
  CudaDevice card(DType::kF32);
  Tensor none(card, DType::kF32, {0, 8});
  const Tensor weight = tensor_of(card, DType::kF32, std::vector<float>(8, 1.0f), {8});
  cuda::rms_norm(card, none, weight, kEps, none);
  cuda::layer_norm(card, none, weight, weight, kEps, none);
  cuda::add(card, none, none);
  cuda::scale(card, 2, none);
  cuda::take_rows(card, none, {}, none);
  EXPECT_TRUE(cuda::best(card, none).empty());
}

}  // namespace
}  // namespace evictbench
