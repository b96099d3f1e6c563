#include "harness/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "datasets/draws.h"
#include "harness/memory.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

constexpr int kWarmTokens = 64;

Point full_point() { return {.name = "full", .policy = make_policy("full"), .unit = "full"}; }

Prompt random_prompt(int tokens, int vocabulary, std::uint64_t seed) {
  Draws draws(seed, static_cast<std::uint64_t>(tokens));
  Prompt prompt;
  for (int i = 0; i < tokens; ++i)
    prompt.context.push_back(static_cast<std::int32_t>(draws.below(static_cast<std::size_t>(vocabulary))));
  return prompt;
}

// The repeats of one run.
class Repeats {
 public:
  Repeats(std::vector<Point> points, const BenchInput& input)
      : points_(std::move(points)), limits_{.max_new = input.max_new, .batch_bytes = input.batch_bytes} {}

  void once(Device& device, const Model& model, const Prompt& prompt,
            const std::function<void()>& checkpoint) {
    Timing time;
    const auto answers = evaluate(device, model, prompt, points_, {}, limits_, &time, checkpoint);
    prefill_.push_back(time.prefill);
    select_.push_back(time.select);
    gather_.push_back(time.gather);
    step_.push_back(time.decode / limits_.max_new);
    total_.push_back(time.prefill + time.select + time.gather + time.decode);
    run_.batches = time.steps / limits_.max_new;
    run_.peaks = time.peaks;
    run_.kept = run_.retained_bytes = 0;
    for (const Answer& answer : answers) {
      run_.kept += answer.kept;
      run_.retained_bytes += answer.retained_bytes;
      if (run_.error.empty()) run_.error = answer.error;
    }
  }

  BenchRun result() const {
    BenchRun run = run_;
    run.prefill = spread_of(prefill_);
    run.select = spread_of(select_);
    run.gather = spread_of(gather_);
    run.step = spread_of(step_);
    run.total = spread_of(total_);
    return run;
  }

 private:
  std::vector<Point> points_;
  DecodeLimits limits_;
  BenchRun run_;
  std::vector<double> prefill_, select_, gather_, step_, total_;  // [repeats]
};

}  // namespace

std::vector<std::size_t> BenchInput::batch() const {
  std::vector<std::size_t> all(static_cast<std::size_t>(together));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i % points.size();
  return all;
}

Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

bool BenchPrompt::failed() const {
  return !together.error.empty() || !full.error.empty() ||
         std::ranges::any_of(alone, [](const BenchRun& run) { return !run.error.empty(); });
}

double BenchPrompt::one_step(const BenchInput& input) const {
  double sum = 0;
  for (const std::size_t p : input.batch()) sum += alone[p].step.median;
  return sum / input.together;
}

double BenchPrompt::separate(const BenchInput& input) const {
  double sum = 0;
  for (const std::size_t p : input.batch()) sum += alone[p].total.median;
  return sum;
}

// Every run once, then all of them again: whatever else the machine does, it does to all alike.
BenchPrompt bench_prompt(Device& device, const Model& model, const BenchInput& input, int tokens,
                         const std::function<void()>& step, const std::function<void()>& checkpoint) {
  const Prompt prompt = random_prompt(tokens, model.vocabulary(), input.seed);
  std::vector<Repeats> runs{Repeats({full_point()}, input)};  // the full cache, points that evict, the batch
  std::vector<std::size_t> run_of;                            // [points]
  for (const Point& point : input.points) {
    run_of.push_back(point.policy->evicts() ? runs.size() : 0);
    if (point.policy->evicts()) runs.emplace_back(std::vector{point}, input);
  }
  std::vector<Point> batch;
  for (const std::size_t p : input.batch()) batch.push_back(input.points[p]);
  runs.emplace_back(batch, input);
  for (int i = 0; i < input.repeat; ++i)
    for (Repeats& run : runs) {
      run.once(device, model, prompt, checkpoint);
      step();
    }
  BenchPrompt out{
      .tokens = tokens, .full = runs.front().result(), .alone = {}, .together = runs.back().result()};
  for (const std::size_t run : run_of) out.alone.push_back(runs[run].result());
  return out;
}

void warm_up(Device& device, const Model& model, const BenchInput& input, int tokens) {
  BenchInput brief = input;
  brief.max_new = 1;
  Repeats run({full_point()}, brief);
  run.once(device, model, random_prompt(std::min(tokens, kWarmTokens), model.vocabulary(), input.seed), {});
}

double prefill_flops(const DecoderConfig& c, int tokens) {
  const double C = c.hidden, F = c.intermediate, HD = static_cast<double>(c.q_heads) * c.head_dim,
               GD = static_cast<double>(c.kv_heads) * c.head_dim, T = tokens;
  const double qkv = C * (HD + 2 * GD), rest = HD * C + (c.gated ? 3 : 2) * C * F;  // of a layer and a token
  const auto window = [&](const LayerForm& form) {
    return form.window > 0 ? std::min<double>(form.window, T) : T;
  };
  double seen = window(c.forms.back());  // keys, over all queries and layers
  for (int l = 0; l + 1 < c.layers; ++l) {
    const double W = window(c.forms[static_cast<std::size_t>(l)]);
    seen += W * (W + 1) / 2 + (T - W) * W;
  }
  const double matrices = c.layers * qkv * T + (c.layers - 1) * rest * T + rest;
  return 2 * (matrices + C * c.vocabulary) + 2 * 2 * HD * seen;
}

void check_bench_memory(const BenchInput& input, const std::string& model, const DecoderConfig& config,
                        std::int64_t weights, int tokens, std::int64_t free) {
  const auto refuse = [&](Exit exit, const std::string& what, double needed, const char* mend) {
    reject(exit, {"E-BN-02", model, "", fmt::format("{} need {:.0f} bytes", what, needed),
                  fmt::format("at most the {} that are free", free), mend});
  };
  if (weights > free)
    refuse(Exit::kInput, "its weights", static_cast<double>(weights),
           "take a smaller shape, or another device");
  // Rough and in floating point first: what follows multiplies in 64 bits.
  const double rough = static_cast<double>(weights) + 2.0 * static_cast<double>(size_of(input.working)) *
                                                          config.layers * config.kv_heads * config.head_dim *
                                                          tokens;
  const std::string what =
      fmt::format("weights, a prompt of {} tokens and {} points", tokens, input.together);
  constexpr const char* kMend = "take shorter --tokens, smaller budgets or fewer --points";
  if (rough > static_cast<double>(free)) refuse(Exit::kUsage, what, rough, kMend);
  Plan plan;
  plan.protocols = {Protocol{}};
  for (const std::size_t p : input.batch()) plan.points.push_back(input.points[p]);
  Example example;
  example.max_new = input.max_new;
  plan.tasks.push_back(
      {.id = "", .dataset = nullptr, .examples = {example}, .tokens = {tokens}, .beside = {1}});
  const std::int64_t peak =
      forecast_memory(plan, config, weights, input.working, input.prefill_rows, input.batch_bytes).peak();
  if (peak > free) refuse(Exit::kUsage, what, static_cast<double>(peak), kMend);
}

}  // namespace evictbench
