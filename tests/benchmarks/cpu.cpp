// The CPU device against what the machine can do, on the shape "125M" (12 layers, C 768, H 12, G 4, D 64, F 2,048, V 32,000;
// random bf16 weights). Every figure that can be is also a ratio to a limit measured in the same second. What is timed is
// what `run` calls: operations of core/ops.h, Model::prefill and extend, evaluate().
//
//     build/release/tests/benchmarks_cpu [--benchmark_filter=Prefill]      EVICTBENCH_THREADS=1 for one thread,
//     EVICTBENCH_PATH=avx2 for another instruction path than the widest, EVICTBENCH_BF16DOT=1 for that mode and its peak
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <numeric>
#include <random>

#include "core/cpu/device.h"
#include "core/cpu/kernels.h"
#include "harness/evaluate.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/benchmarks/limits.h"
#include "tests/support/calibration_files.h"
#include "tests/support/random_decoder.h"

namespace {

using namespace evictbench;

int threads() {
  static const int count = [] {
    const char* text = std::getenv("EVICTBENCH_THREADS");
    return text ? std::atoi(text) : static_cast<int>(std::thread::hardware_concurrency());
  }();
  return count;
}

bool bf16dot() { return std::getenv("EVICTBENCH_BF16DOT") != nullptr; }

CpuDevice& device() {
  const char* path = std::getenv("EVICTBENCH_PATH");
  static CpuDevice device(threads(), path ? path : "",
                          bf16dot() ? CpuDevice::Products::kBf16Dot : CpuDevice::Products::kF32);
  return device;
}

double peak() { return bf16dot() ? limits::bf16_flops(threads()) : limits::fma_flops(threads()); }

constexpr RandomShape k125M{.layers = 12,
                            .q_heads = 12,
                            .kv_heads = 4,
                            .head_dim = 64,
                            .hidden = 768,
                            .intermediate = 2048,
                            .vocabulary = 32000,
                            .tied = false};

const Decoder& model() {
  static const Decoder decoder = [] {
    DecoderConfig config = config_of(k125M);
    config.max_positions = 1 << 20;
    return Decoder(device(), config, usual_names(config), RandomWeights(k125M, 1, DType::kBF16));
  }();
  return decoder;
}

// Multiply-adds times two: of the linear layers for a token (without the head), and of causal attention over T tokens.
constexpr double kLinear = 2.0 * 12 * (768.0 * (12 + 8) * 64 + 768.0 * 768 + 3.0 * 768 * 2048);
constexpr double kHead = 2.0 * 768 * 32000;
constexpr double kWeightBytes = (kLinear + kHead) / 2 * sizeof(std::uint16_t);
double attention(double tokens) { return 2.0 * 2 * 12 * 12 * 64 * tokens * (tokens + 1) / 2; }
// Of a prefill: the last layer gives keys, values and queries of all tokens, and everything else of the last token alone.
double prefill_flops(double tokens) {
  constexpr double kQkv = 2.0 * 768 * (12 + 8) * 64, kRest = kLinear / 12 - kQkv;
  return kLinear * tokens - kRest * (tokens - 1) + attention(tokens) * 11 / 12 + 2.0 * 2 * 12 * 64 * tokens +
         kHead;
}

// Seconds of a call, and what the machine could do right before and after: the better of the two. `of_peak_%` is of all calls
// together, `best_of_peak_%` of the fastest one: neighbours on the machine only take away.
class Measured {
 public:
  explicit Measured(benchmark::State& state) : state_(state), peak_(peak()) {}
  ~Measured() {
    peak_ = std::max(peak_, peak());
    const double rate = flops_ / seconds_;
    state_.counters["GFLOP/s"] = rate / 1e9;
    state_.counters["of_peak_%"] = 100 * rate / peak_;
    state_.counters["best_of_peak_%"] = 100 * best_ / peak_;
  }
  template <class Work>
  double run(double flops, const Work& work) {  // -> seconds
    const double start = limits::seconds();
    work();
    const double time = limits::seconds() - start;
    state_.SetIterationTime(time);
    seconds_ += time;
    flops_ += flops;
    best_ = std::max(best_, flops / time);
    return time;
  }

 private:
  benchmark::State& state_;
  double peak_, flops_ = 0, seconds_ = 0, best_ = 0;
};

Tensor random_rows(std::vector<int> dims) {
  Tensor t(device(), DType::kF32, std::move(dims));
  std::mt19937 rng(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::generate_n(t.data<float>(), t.size(), [&] { return uniform(rng); });
  return t;
}

Tokens prompt_of(int tokens) {
  Tokens prompt(static_cast<std::size_t>(tokens));
  std::mt19937 rng(2);
  for (std::int32_t& id : prompt) id = static_cast<std::int32_t>(rng() % 32000);
  return prompt;
}

void Limits(benchmark::State& state) {
  double fma = 0, bf16 = 0, read = 0, clock = 0;
  for (auto _ : state) {
    const double start = limits::seconds();
    fma = std::max(fma, limits::fma_flops(threads()));
    if (limits::has_bf16()) bf16 = std::max(bf16, limits::bf16_flops(threads()));
    read = std::max(read, limits::read_bytes(threads()));
    clock = std::max(clock, limits::clock_rate());
    state.SetIterationTime(limits::seconds() - start);
  }
  double a_cycle = 16;  // the next power of two: what the units can do
  while (a_cycle < 0.95 * fma / threads() / clock) a_cycle *= 2;
  state.counters["f32_GFLOP/s"] = fma / 1e9;
  state.counters["bf16_GFLOP/s"] = bf16 / 1e9;
  state.counters["read_GB/s"] = read / 1e9;
  state.counters["clock_GHz"] = clock / 1e9;
  state.counters["FLOP/cycle"] = a_cycle;
  state.counters["of_cycles_%"] = 100 * fma / (a_cycle * clock * threads());
}
BENCHMARK(Limits)->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);

void Gemm(benchmark::State& state) {
  const int rows = static_cast<int>(state.range(0)), outputs = static_cast<int>(state.range(1)),
            depth = static_cast<int>(state.range(2));
  const bool bf16 = state.range(3) != 0;
  std::vector<std::byte> bytes(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(depth) *
                               (bf16 ? 2 : 4));
  const Tensor source = random_rows({outputs, depth});
  for (std::size_t i = 0; i < source.size(); ++i) {
    const float value = source.data<float>()[i];
    const std::uint16_t half = f32_to_bf16(value);
    if (bf16)
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    else
      std::memcpy(bytes.data() + 4 * i, &value, 4);
  }
  const WeightRows part{bf16 ? DType::kBF16 : DType::kF32, outputs, bytes.data()};
  const PackedMatrix w = device().ops().pack(device(), std::span(&part, 1), depth);
  const Tensor x = random_rows({rows, depth});
  Tensor y(device(), DType::kF32, {rows, outputs});
  Measured measured(state);
  for (auto _ : state)
    measured.run(2.0 * rows * outputs * depth, [&] { device().ops().matmul(device(), x, w, y); });
}
BENCHMARK(Gemm)
    ->ArgNames({"M", "N", "K", "bf16"})
    ->ArgsProduct({{1, 30, 512, 2048}, {2048}, {2048}, {0, 1}})
    ->ArgsProduct({{30, 512}, {1280, 4096}, {768}, {1}})
    ->ArgsProduct({{30, 512}, {768}, {768, 2048}, {1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void Attend(benchmark::State& state) {  // one chunk of 512 rows at the end of a prompt
  const int tokens = static_cast<int>(state.range(0)), rows = std::min(512, tokens), G = 4, H = 12, D = 64;
  DenseKv kv(device(), 1, G, tokens, D);
  const Tensor random = random_rows({static_cast<int>(kv.keys.size())});
  device().copy(kv.keys.data<float>(), random.data<float>(), kv.keys.bytes());
  device().copy(kv.values.data<float>(), random.data<float>(), kv.values.bytes());
  std::vector<std::int32_t> positions(static_cast<std::size_t>(tokens));
  std::iota(positions.begin(), positions.end(), 0);
  const Tensor q = random_rows({rows, H, D});
  Tensor out(device(), DType::kF32, {rows, H, D}), log_sums(device(), DType::kF32, {rows, H});
  std::vector<AttendTask> tasks;
  for (int g = 0; g < G; ++g)
    tasks.push_back({{{.keys = kv.lane_keys(g),
                       .values = kv.lane_values(g),
                       .positions = positions.data(),
                       .entries = tokens},
                      {}},
                     0,
                     rows,
                     g * H / G,
                     H / G,
                     tokens - rows});
  Measured measured(state);
  for (auto _ : state)
    measured.run((attention(tokens) - attention(tokens - rows)) / 12,
                 [&] { device().ops().attend(device(), tasks, q, out, log_sums); });
}
BENCHMARK(Attend)->Arg(512)->Arg(2048)->Arg(8192)->UseManualTime()->Unit(benchmark::kMillisecond);

void Prefill(benchmark::State& state) {
  const int tokens = static_cast<int>(state.range(0));
  const Tokens prompt = prompt_of(tokens);
  const auto prefill = [&] { benchmark::DoNotOptimize(model().prefill(device(), prompt, {})); };
  prefill();  // the first one gets its memory from the system, all others from the first
  Measured measured(state);
  double all = 0, best = 0;  // seconds
  for (auto _ : state) {
    const double time = measured.run(prefill_flops(tokens), prefill);
    all += time;
    best = best == 0 ? time : std::min(best, time);
  }
  state.counters["tokens/s"] = tokens * static_cast<double>(state.iterations()) / all;
  state.counters["best_tokens/s"] = tokens / best;
}
BENCHMARK(Prefill)->Arg(2048)->Arg(8192)->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);

// `points` sequences over caches of 64 to 2,048 entries, fed one token each a step.
void Decode(benchmark::State& state) {
  const int points = static_cast<int>(state.range(0)), tokens = static_cast<int>(state.range(1));
  const Tokens prompt = prompt_of(tokens);
  const auto policy = make_policy("snapkv");
  const auto snapshot = model().prefill(device(), prompt, policy->needs(model().shape(tokens)));
  std::vector<Budget> budgets;
  for (int p = 0; p < points; ++p) budgets.push_back({64.0 * (1 << p % 6)});
  const std::vector<Kept> kept = policy->select(snapshot->observation, budgets);
  constexpr int kSteps = 32;
  const double read = limits::read_bytes(threads());
  double time = 0;
  std::int64_t steps = 0, bytes = 0;
  for (auto _ : state) {
    RaggedCache cache(snapshot, kept, tokens, kSteps);
    const double start = limits::seconds();
    for (int step = 0; step < kSteps; ++step)
      benchmark::DoNotOptimize(
          model().extend(device(), cache, std::vector<Tokens>(static_cast<std::size_t>(points), {step + 1})));
    const double spent = limits::seconds() - start;
    state.SetIterationTime(spent / kSteps);
    time += spent;
    steps += kSteps;
    for (int p = 0; p < points; ++p) bytes += kSteps * cache.retained_bytes(p);
  }
  const double weights = kWeightBytes * static_cast<double>(steps);
  state.counters["tokens/s"] = points * static_cast<double>(steps) / time;
  state.counters["read_GB/s"] = (weights + static_cast<double>(bytes)) / time / 1e9;
  state.counters["of_read_%"] =
      100 * (weights + static_cast<double>(bytes)) / time / std::max(read, limits::read_bytes(threads()));
}
BENCHMARK(Decode)
    ->ArgNames({"points", "T"})
    ->Args({1, 2048})
    ->Args({30, 2048})
    ->UseManualTime()
    ->Iterations(2)
    ->Unit(benchmark::kMillisecond);

// The work of every policy for six budgets, per point, against the prefill: score, rank, select, compact.
void PolicyWork(benchmark::State& state) {
  const int tokens = static_cast<int>(state.range(0));
  const Tokens prompt = prompt_of(tokens);
  std::vector<Point> points;
  for (const char* name : {"random", "streaming_llm", "snapkv", "pyramidkv", "adakv"}) {
    const std::shared_ptr<const Policy> policy = make_policy(name);
    for (int b = 64; b <= 2048; b *= 2)
      points.push_back({name + std::to_string(b), policy, "entries", static_cast<double>(b)});
  }
  model();
  Timing timing;
  const DecodeLimits one{.max_new = 1};
  for (auto _ : state) {
    const double start = limits::seconds();
    evaluate(device(), model(), {prompt, {}}, points, {}, one, &timing);
    state.SetIterationTime(limits::seconds() - start);
  }
  const double work = (timing.select + timing.gather) / static_cast<double>(points.size());
  state.counters["select_ms"] = 1e3 * timing.select / static_cast<double>(state.iterations());
  state.counters["compact_ms"] = 1e3 * timing.gather / static_cast<double>(state.iterations());
  state.counters["a_point_%_of_prefill"] = 100 * work / timing.prefill;
}
BENCHMARK(PolicyWork)->Arg(2048)->Arg(8192)->UseManualTime()->Iterations(2)->Unit(benchmark::kMillisecond);

// One policy alone at a budget of 256 entries, against a prefill that collects nothing: what its scores, ranking,
// selection and compaction take, and what it makes a prefill collect. In turns, so that both meet the same machine.
void PolicyAlone(benchmark::State& state, const std::string& name) {
  const int tokens = static_cast<int>(state.range(0));
  const Tokens prompt = prompt_of(tokens);
  const KvShape shape = model().shape(tokens);
  const Point point{name, make_policy_for(name, shape), "entries", 256};
  double plain = 0, collecting = 0, work = 0;
  for (auto _ : state) {
    const double start = limits::seconds();
    benchmark::DoNotOptimize(model().prefill(device(), prompt, {}));
    const double middle = limits::seconds();
    const auto snapshot = model().prefill(device(), prompt, point.policy->needs(shape));
    const double end = limits::seconds();
    std::vector<std::string> errors;
    const auto kept = select_all(std::span(&point, 1), snapshot->observation, errors);
    benchmark::DoNotOptimize(RaggedCache(snapshot, kept, tokens, 1));
    const double done = limits::seconds();
    plain += middle - start;
    collecting += end - middle;
    work += done - end;
    state.SetIterationTime(done - end);
  }
  state.counters["work_%_of_prefill"] = 100 * work / plain;
  state.counters["collect_%_of_prefill"] = 100 * (collecting / plain - 1);
}

}  // namespace

int main(int argc, char** argv) {
  for (const PolicyEntry& entry : all_policies())
    benchmark::RegisterBenchmark(("PolicyAlone/" + entry.name).c_str(), PolicyAlone, entry.name)
        ->Arg(2048)
        ->UseManualTime()
        ->Iterations(2)
        ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
