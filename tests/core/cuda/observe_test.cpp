// What is observed of attention on a card: in f32 the bits of the host device; from tensor cores, what float64 gives of
// the same numbers. There a product of two bytes each is exact and sums are f32: a logit of this size is right to a few
// 1e-6, its exponential too.
#include <cmath>
#include <functional>

#include "core/cuda/observe_half.h"
#include "core/cuda/ops.h"
#include "tests/support/both_devices.h"
#include "tests/support/cuda.h"

namespace evictbench {
namespace {

constexpr Reduction kReductions[] = {Reduction::kSum, Reduction::kMax, Reduction::kVariance,
                                     Reduction::kEntropy};
constexpr double kRelative = 2e-5;

// Queries and keys whose attention is about that of a softmax over the keys.
struct Scene {
  KvShape shape;
  BothKv kv;
  Both queries, log_sums;
};

class CudaObserve : public CudaTest, public testing::WithParamInterface<DType> {
 protected:
  Both normalisers(const std::vector<int>& dims, int keys) {
    std::vector<float> x = normal_numbers(rng_, elements(dims), 0.5f);
    for (float& v : x) v += std::log(static_cast<float>(keys)) + 0.5f;
    return {card_, DType::kF32, x, dims};
  }
  // queries [L, H, W, D]
  Scene window_scene(const KvShape& s, int W) {
    return {s, random_caches(card_, dtype_, s, rng_),
            random_both(card_, dtype_, {s.layers, s.q_heads, W, s.head_dim}, rng_),
            normalisers({s.layers, s.q_heads, W}, s.tokens)};
  }

  DType dtype_ = GetParam();
  CudaDevice card_{dtype_};
  std::mt19937 rng_{9};
};

double attention(const float* query, const DenseKv& cache, int lane, int t, AttentionForm form,
                 float log_sum) {
  double logit = 0;
  for (int d = 0; d < cache.dim(); ++d)
    logit += double{query[d]} * double{cache.lane_keys<float>(lane)[key_index(t, cache.dim(), d)]};
  logit /= std::sqrt(double(cache.dim()));
  if (form.softcap > 0) logit = form.softcap * std::tanh(logit / form.softcap);
  return std::exp(logit - log_sum);
}

bool sees(int position, int t, AttentionForm form) {
  return t <= position && (form.window == 0 || t > position - form.window);
}

void check_window_in_f64(const Scene& scene, const std::vector<AttentionForm>& forms, int window,
                         const std::vector<Tensor>& got) {
  const KvShape& s = scene.shape;
  const int T = s.tokens, W = scene.queries.on_host.dim(2), rows = std::min(window, T);
  std::vector<std::vector<float>> tables;
  for (const Tensor& table : got) tables.push_back(table.to_host<float>());
  for (int row = 0; row < s.layers * s.q_heads; ++row)
    for (int t = 0; t < T; ++t) {
      const int layer = row / s.q_heads, lane = layer * s.kv_heads + row % s.q_heads / s.group();
      const AttentionForm form = forms.empty() ? AttentionForm{} : forms[static_cast<std::size_t>(layer)];
      std::vector<double> p;
      for (int w = 0; w < rows; ++w) {
        const std::ptrdiff_t at = std::ptrdiff_t{row} * W + w;
        p.push_back(sees(T - 1 - w, t, form)
                        ? attention(scene.queries.on_host.row<float>(at), scene.kv.on_host, lane, t, form,
                                    scene.log_sums.on_host.data<float>()[at])
                        : 0);
      }
      double sum = 0, most = 0, entropy = 0, weight = 0, squares = 0, off = 0;
      for (const double x : p) {
        sum += x, most = std::max(most, x), squares += x * x;
        entropy -= x * std::log(x + 1e-10);
        weight += x * (1 + std::abs(std::log(x + 1e-10)));
      }
      for (const double x : p) off += (x - sum / rows) * (x - sum / rows);
      const double free = rows > 1 ? rows - 1 : 1;
      const double want[] = {sum, most, off / free, entropy};
      const double about[] = {sum, most, squares / free, weight};  // what is right to kRelative of it
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(double{tables[i][static_cast<std::size_t>(row * T + t)]}, want[i], kRelative * about[i])
            << "reduction " << i << ", row " << row << ", key " << t << " of " << T << ", dim " << s.head_dim
            << ", window " << window;
    }
}

// In every order of threads; half: against float64, and the same bits in each.
void check_window(CudaDevice& card, const Scene& scene, const std::vector<AttentionForm>& forms, int window) {
  const int T = scene.shape.tokens;
  const auto observed = [&](Device& device, const auto& observe, bool on_card) {
    return observe(device, on_card ? scene.queries.on_card : scene.queries.on_host,
                   on_card ? scene.log_sums.on_card : scene.log_sums.on_host,
                   on_card ? scene.kv.on_card : scene.kv.on_host, std::span(forms), T, window,
                   std::span(kReductions));
  };
  const bool half = cuda::observes_half(scene.kv.on_card.dtype(), scene.shape.head_dim);
  std::vector<Tensor> want;
  if (!half) want = observed(host(), host().ops().window_attention, false);
  in_every_order([&] {
    std::vector<Tensor> got = observed(card, cuda::window_attention, true);
    if (half && want.empty()) {
      check_window_in_f64(scene, forms, window, got);
      want = std::move(got);
      return;
    }
    for (std::size_t i = 0; i < want.size(); ++i)
      expect_same_bits(got[i], want[i],
                       "reduction " + std::to_string(i) + ", dim " + std::to_string(scene.shape.head_dim) +
                           ", window " + std::to_string(window));
  });
}

TEST_P(CudaObserve, ReducesTheAttentionOfAWindow) {
  for (const int D : {15, 24, 80}) {
    for (const auto& [T, W] : {std::pair{1, 1}, {37, 8}, {150, 70}, {260, 20}})
      check_window(card_, window_scene({1, 4, 2, D, T}, W), {}, W);
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaObserve, ReducesPrefixesOfWhatWasKept) {
  const Scene scene = window_scene({2, 3, 1, 64, 45}, 32);
  for (const int window : {1, 5, 16, 31, 32}) check_window(card_, scene, {}, window);
  check_window(card_, window_scene({1, 2, 2, 16, 9}, 9), {}, 64);  // more than the prompt has
}

TEST_P(CudaObserve, ReducesWindowsOfLayersOfAnotherForm) {
  for (const int D : {9, 16})
    check_window(card_, window_scene({3, 2, 1, D, 140}, 24), {{}, {20, 0}, {131, 1.5f}}, 24);
}

TEST_P(CudaObserve, GivesATableThatDoesNotDependOnTheOthers) {
  const Scene scene = window_scene({1, 2, 1, 32, 60}, 12);
  const auto observed = [&](std::span<const Reduction> how) {
    return cuda::window_attention(card_, scene.queries.on_card, scene.log_sums.on_card, scene.kv.on_card, {},
                                  60, 12, how);
  };
  const auto all = observed(kReductions);
  for (std::size_t i = 0; i < std::size(kReductions); ++i)
    expect_same_bits(observed(std::span(kReductions).subspan(i, 1))[0], all[i], "alone and together");
  EXPECT_TRUE(observed({}).empty());
}

// A prompt in pieces; sums of one layer of two.
void check_columns(CudaDevice& card, DType dtype, const KvShape& s, AttentionForm form,
                   const std::vector<int>& pieces, std::mt19937& rng,
                   const std::function<Both(const std::vector<int>&)>& normalisers) {
  constexpr int kLayer = 1;
  const int H = s.q_heads, D = s.head_dim, T = s.tokens;
  const BothKv kv = random_caches(card, dtype, s, rng);
  std::vector<Both> queries, log_sums;
  for (const int n : pieces) {
    queries.push_back(random_both(card, dtype, {n, H, D}, rng));
    log_sums.push_back(normalisers({n, H}));
  }
  const auto summed = [&](Device& device, const auto& add, bool on_card) {
    Tensor sums = Tensor::zeros(device, DType::kF32, {s.layers, H, T});
    int first = 0;
    for (std::size_t i = 0; i < pieces.size(); first += pieces[i++])
      add(device, on_card ? kv.on_card : kv.on_host, kLayer, form,
          on_card ? queries[i].on_card : queries[i].on_host,
          on_card ? log_sums[i].on_card : log_sums[i].on_host, first, sums);
    return sums.to_floats();
  };
  const bool half = cuda::observes_half(dtype, D);
  std::vector<float> want;
  if (!half) want = summed(host(), host().ops().add_column_sums, false);
  in_every_order([&] {
    const std::vector<float> got = summed(card, cuda::add_column_sums, true);
    if (!want.empty()) return expect_same_bits(got, want, "dim " + std::to_string(D));
    want = got;
    for (int h = 0; h < H; ++h)
      for (int t = 0; t < T; ++t) {
        double sum = 0;
        int first = 0;
        for (std::size_t i = 0; i < pieces.size(); first += pieces[i++])
          for (int n = 0; n < pieces[i]; ++n)
            if (sees(first + n, t, form))
              sum += attention(queries[i].on_host.row<float>(n * H + h), kv.on_host,
                               kLayer * s.kv_heads + h / s.group(), t, form,
                               log_sums[i].on_host.row<float>(n)[h]);
        ASSERT_NEAR(double{got[static_cast<std::size_t>((kLayer * H + h) * T + t)]}, sum, kRelative * sum)
            << "head " << h << ", key " << t << " of " << T << ", dim " << D;
      }
    for (int i = 0; i < H * T; ++i) ASSERT_EQ(got[static_cast<std::size_t>(i)], 0) << "the other layer";
  });
}

TEST_P(CudaObserve, AddsUpColumns) {
  const auto given = [&](const std::vector<int>& dims) { return normalisers(dims, 100); };
  for (const int D : {15, 24, 80})
    for (const auto& pieces : {std::vector<int>{1}, {90, 60}, {17, 1, 130}}) {
      int T = 0;
      for (const int n : pieces) T += n;
      check_columns(card_, dtype_, {2, 2, 1, D, T}, {}, pieces, rng_, given);
      if (HasFatalFailure()) return;
    }
  check_columns(card_, dtype_, {2, 2, 2, 256, 70}, {}, {70}, rng_, given);
}

TEST_P(CudaObserve, AddsUpColumnsOfAnotherForm) {
  const auto given = [&](const std::vector<int>& dims) { return normalisers(dims, 100); };
  for (const int D : {9, 16})
    for (const AttentionForm form : {AttentionForm{7, 0}, {100, 2}, {0, 1.5f}})
      check_columns(card_, dtype_, {2, 2, 1, D, 290}, form, {150, 140}, rng_, given);
}

INSTANTIATE_TEST_SUITE_P(Every, CudaObserve, testing::ValuesIn(kWorkingTypes),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

}  // namespace
}  // namespace evictbench
