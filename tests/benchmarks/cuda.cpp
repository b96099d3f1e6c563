// The CUDA device against what the card can do: every rate is also a ratio to a limit measured in the same run, by the
// card's own clock. Shapes of Llama-3.1-8B. Without a card it says so and measures nothing.
//
//     build/release/tests/benchmarks_cuda [--benchmark_filter=Product/gate_up]
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/cuda/device.h"
#include "core/cuda/open.h"
#include "core/cuda/products.h"
#include "tests/benchmarks/cuda_attention.h"

namespace {

using namespace evictbench;
using cuda::ProductShape;

CudaDevice& device() {
  static CudaDevice device(DType::kBF16);
  return device;
}

// Random numbers in (-1, 1): a block of them, again and again.
Tensor random_halves(std::vector<int> dims) {
  static const std::vector<std::uint16_t> block = [] {
    std::vector<std::uint16_t> words(4'194'301);  // a prime, so that no two rows are alike
    std::mt19937 rng(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::ranges::generate(words, [&] { return f32_to_bf16(uniform(rng)); });
    return words;
  }();
  Tensor t(device(), DType::kBF16, std::move(dims));
  for (std::size_t done = 0; done < t.size(); done += block.size())
    device().upload(t.at(static_cast<std::ptrdiff_t>(done)), block.data(),
                    2 * std::min(block.size(), t.size() - done));
  return t;
}

// Seconds of one of `times` calls of work(i), after as many that nobody times.
template <class Work>
double seconds_of_one(int times, const Work& work) {
  for (int i = 0; i < times; ++i) work(i);
  return device().runtime().seconds_of([&] {
    for (int i = 0; i < times; ++i) work(i);
  }) / times;
}

// --- what the card can do ---------------------------------------------------------------------------------------------

cuda::ProductLibrary& library() {
  static const auto library = cuda::open_product_library(device());
  return *library;
}

double product_limit() {  // operations a second, of 8,192 by 8,192 by 8,192 random numbers
  static const double limit = device().matrix_flops();
  return limit;
}
double copy_limit() {  // bytes a second that a copy on the card reads and writes, together
  static const double limit = device().copy_bytes();
  return limit;
}

// Of all calls in a benchmark: what they take, and the ratios to the limits.
class Measured {
 public:
  explicit Measured(benchmark::State& state) : state_(state) {}
  void add(double seconds, double operations, double bytes) {
    state_.SetIterationTime(seconds);
    seconds_ += seconds;
    operations_ += operations;
    bytes_ += bytes;
  }
  ~Measured() {
    if (seconds_ == 0) return;
    state_.counters["TFLOP/s"] = operations_ / seconds_ / 1e12;
    state_.counters["of_product_%"] = 100 * operations_ / seconds_ / product_limit();
    state_.counters["GB/s"] = bytes_ / seconds_ / 1e9;
    state_.counters["of_copy_%"] = 100 * bytes_ / seconds_ / copy_limit();
  }

 private:
  benchmark::State& state_;
  double seconds_ = 0, operations_ = 0, bytes_ = 0;
};

// --- products ---------------------------------------------------------------------------------------------------------

struct Layer {
  const char* name;
  int outputs, depth;
  DType out;
};
constexpr Layer kLayers[] = {{"qkv", 6144, 4096, DType::kBF16},
                             {"output", 4096, 4096, DType::kBF16},
                             {"gate_up", 28672, 4096, DType::kBF16},
                             {"down", 4096, 14336, DType::kBF16},
                             {"head", 128256, 4096, DType::kF32}};
enum class Who { kOwn, kLibrary };

constexpr double kBeyondCaches = 512e6;  // bytes of weights that are gone through before the same come again

void product(benchmark::State& state, const Layer& layer, int rows, Who who) {
  const ProductShape shape{layer.outputs, layer.depth, DType::kBF16, layer.out};
  const double weight_bytes = 2.0 * layer.outputs * layer.depth;
  std::vector<Tensor> weights;
  while (weights.empty() || weight_bytes * static_cast<double>(weights.size()) < kBeyondCaches)
    weights.push_back(random_halves({layer.outputs, layer.depth}));
  const Tensor x = random_halves({rows, layer.depth});
  Tensor y(device(), layer.out, {rows, layer.outputs});

  const bool decode = rows <= cuda::Products::kPiece;
  std::optional<int> plan;
  if (who == Who::kLibrary) {
    plan = library().plan(shape, decode ? cuda::Products::kPiece : rows, !decode);
    if (!plan) return state.SkipWithError("cuBLASLt has no algorithm that sums up an output in one go");
  }
  const auto multiply = [&](int i) {
    const void* w = weights[static_cast<std::size_t>(i) % weights.size()].at(0);
    if (!plan)
      cuda::multiply_own(device(), shape, x.at(0), w, y.at(0), rows);
    else
      require(library().multiply(*plan, x.at(0), w, y.at(0), rows), "cuBLASLt refuses so many rows");
  };
  const int times = std::max(10, static_cast<int>(weights.size()));
  const double bytes = weight_bytes + static_cast<double>(x.bytes() + y.bytes());
  Measured measured(state);
  for (auto _ : state)
    measured.add(seconds_of_one(times, multiply), 2.0 * rows * layer.outputs * layer.depth, bytes);
}

// Which of the layers' products cuBLASLt may make while decoding: the canary's word.
std::string canary() {
  for (const Layer& layer : kLayers) {
    const Tensor x = random_halves({1, layer.depth}), w = random_halves({layer.outputs, layer.depth});
    Tensor y(device(), layer.out, {1, layer.outputs});
    device().products().multiply(Phase::kDecode, {layer.outputs, layer.depth, DType::kBF16, layer.out},
                                 x.at(0), w.at(0), y.at(0), 1);
  }
  std::string text;
  for (const std::string& note : device().notes()) text += note + "; ";
  return text.empty() ? "cuBLASLt keeps its bits in all layers" : text;
}

void register_products() {
  for (const Layer& layer : kLayers)
    for (const int rows : {1, 30, 64, 8192})
      for (const Who who : {Who::kOwn, Who::kLibrary}) {
        if (rows == 8192 && layer.out == DType::kF32) continue;  // logits are of single rows
        const auto name =
            fmt::format("Product/{}/M:{}/{}", layer.name, rows, who == Who::kOwn ? "own" : "cublaslt");
        benchmark::RegisterBenchmark(name.c_str(), product, layer, rows, who)
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond);
      }
}

// --- attention --------------------------------------------------------------------------------------------------------

template <class Attention>
void attention(benchmark::State& state, int first, auto... rest) {
  Attention work(device(), first, rest...);
  Measured measured(state);
  for (auto _ : state)
    measured.add(seconds_of_one(3, [&](int i) { work(i); }), work.operations(), work.bytes());
}

void register_attention() {
  for (const int tokens : {2048, 8192, 32768})
    benchmark::RegisterBenchmark(fmt::format("Attention/prefill/T:{}", tokens).c_str(),
                                 attention<benchmarks::PrefillAttention>, tokens)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  for (const int points : {1, 30})
    benchmark::RegisterBenchmark(fmt::format("Attention/decode/points:{}", points).c_str(),
                                 attention<benchmarks::DecodeAttention, int>, points, 2048)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
#ifdef EVICTBENCH_EMULATED
  const int cards = 0;  // the emulator has no speed
#else
  const int cards = cuda_cards();
#endif
  if (cards == 0) {
    std::puts("benchmarks_cuda: no CUDA card on this machine, nothing measured");
    return 0;
  }
  register_products();
  register_attention();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const auto& card = device().runtime().card();
  benchmark::AddCustomContext("card", card.name);
  benchmark::AddCustomContext("product limit",
                              fmt::format("{:.1f} TFLOP/s (cuBLASLt, bf16, 8192^3)", product_limit() / 1e12));
  benchmark::AddCustomContext("copy limit",
                              fmt::format("{:.0f} GB/s (read and written)", copy_limit() / 1e9));
  benchmark::AddCustomContext("canary", canary());
  benchmark::RunSpecifiedBenchmarks();
}
