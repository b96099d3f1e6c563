#include "harness/memory.h"

#include <algorithm>

#include "core/ragged_cache.h"
#include "harness/evaluate.h"
#include "harness/fidelity.h"
#include "models/decoder.h"

namespace evictbench {
namespace {

constexpr std::int64_t kFloat = sizeof(float), kDouble = sizeof(double);

// The longest of everything, over all examples.
struct Longest {
  int tokens = 0, room = 0, fed = 1, max_new = 0;
};

Longest longest_of(const Plan& plan) {
  bool after = false;
  for (const Protocol& protocol : plan.protocols)
    after = after || protocol.question == Protocol::Question::kAfter;
  Longest most;
  for (const PlanTask& task : plan.tasks)
    for (std::size_t i = 0; i < task.examples.size(); ++i) {
      const int fed = after ? task.beside[i] : 1;
      most.tokens = std::max(most.tokens, task.tokens[i]);
      most.room = std::max(most.room, fed + task.examples[i].max_new);
      most.fed = std::max(most.fed, fed);
      most.max_new = std::max(most.max_new, task.examples[i].max_new);
    }
  return most;
}

std::int64_t cache_bytes(const Point& point, const KvShape& shape, int room) {
  const std::int64_t rows = std::int64_t{shape.lanes()} * shape.tokens,
                     entries = predict(point, shape).entries;
  const std::int64_t lanes = std::int64_t{shape.layers} * point.policy->heads(shape);
  const bool in_place = lanes == shape.lanes() && RaggedCache::aliases(entries, rows);
  const std::int64_t copied = in_place ? 0 : entries + lanes * (kPanel - 1) / 2;
  return (copied + lanes * padded(room)) * shape.entry_bytes();
}

}  // namespace

MemoryForecast forecast_memory(const Plan& plan, const DecoderConfig& config, std::int64_t weights,
                               DType working, int prefill_rows, std::size_t batch_bytes) {
  const Longest most = longest_of(plan);
  const KvShape shape{config.layers, config.q_heads, config.kv_heads, config.head_dim, most.tokens, working};
  MemoryForecast out;
  out.weights = weights;
  const std::int64_t heads = std::int64_t{config.layers} * config.q_heads;
  out.snapshot = std::int64_t{shape.lanes()} * padded(most.tokens) * shape.entry_bytes();
  int window = 0;
  for (const Stat& stat : needs_of(plan.points, shape).stats) {
    window = std::max(window, std::min(stat.window, most.tokens));
    out.tables += heads * most.tokens * kFloat;
  }
  out.snapshot += heads * window * (shape.entry_bytes() / 2 + kFloat);
  for (const Point& point : plan.points) out.kept += cache_bytes(point, shape, most.room);
  const std::int64_t points = std::ssize(plan.points),
                     together = std::clamp<std::int64_t>(std::ssize(plan.units()), 1, plan.in_flight);
  out.in_flight = static_cast<int>(together);
  const auto caches = [&](std::int64_t examples) {
    return std::min(examples * out.kept, static_cast<std::int64_t>(batch_bytes));
  };
  out.prefill = Decoder::prefill_bytes(config, most.tokens, working, prefill_rows) +
                (together - 1) * out.tables + caches(together - 1);
  out.snapshot *= together;
  out.tables *= together;
  out.kept = caches(together);
  out.step = Decoder::step_bytes(config, working, together * points * most.fed, together * points);
  if (plan.fidelity != Continuation::Kind::kNone) {
    const std::int64_t rows = points * std::min(kFidelityStride, most.max_new);
    out.step = std::max(out.step, Decoder::step_bytes(config, working, rows, points));
    out.fidelity = std::int64_t{most.max_new + 1} * config.vocabulary * kFloat +
                   std::int64_t{std::min(kFidelityStride, most.max_new + 1)} * config.vocabulary * kDouble +
                   heads * most.tokens * kDouble;
  }
  return out;
}

}  // namespace evictbench
