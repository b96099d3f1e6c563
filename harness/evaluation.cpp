#include "harness/evaluation.h"

#include <algorithm>
#include <utility>

#include "harness/clock.h"
#include "harness/fidelity.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

Answer about(const Point& point, const Kept& kept, const KvShape& shape) {
  Answer answer;
  answer.prompt_tokens = shape.tokens;
  answer.full_entries = std::int64_t{shape.lanes()} * shape.tokens;
  answer.asked = point.policy->evicts() ? point.budget(shape).total(shape) : answer.full_entries;
  answer.kept = kept.entries();
  answer.kept_by_layer.resize(static_cast<std::size_t>(shape.layers));
  const int heads = std::max(1, kept.selection.heads());
  for (int lane = 0; lane < kept.selection.lanes(); ++lane)
    answer.kept_by_layer[static_cast<std::size_t>(lane / heads)] += std::ssize(kept.selection.lane(lane));
  for (const Blend& blend : kept.blends) ++answer.kept_by_layer[static_cast<std::size_t>(blend.lane / heads)];
  return answer;
}

// The high-water mark of a phase that ends.
void end_phase(Device& device, std::size_t& peak, Timing& time) {
  peak = std::max(peak, device.peak_bytes());
  time.peak_bytes = std::max(time.peak_bytes, peak);
  device.reset_peak();
}

}  // namespace

Evaluation::Evaluation(Device& device, const Model& model, const Prompt& prompt,
                       std::span<const Point> points, const Protocol& protocol, const DecodeLimits& limits,
                       Timing& time, const std::function<void()>& checkpoint, bool alone)
    : feed_(feed_of(prompt, protocol)),
      points_(points),
      time_(time),
      example_{device, model, prefill(device, model, checkpoint), feed_, limits, checkpoint, alone},
      answers_(points.size()),
      answering_{example_, points_, kept_, answers_, time_} {
  select();
}

std::shared_ptr<const Snapshot> Evaluation::prefill(Device& device, const Model& model,
                                                    const std::function<void()>& checkpoint) {
  Clock clock;
  require(!feed_.prompt.empty(), "evaluate: an empty prompt");
  device.reset_peak();
  const std::size_t before = device.bytes_in_use();
  const KvShape shape = model.shape(static_cast<int>(feed_.prompt.size()));
  auto snapshot = model.prefill(device, feed_.prompt, needs_of(points_, shape),
                                {.tap = nullptr, .all_logits = {}, .checkpoint = checkpoint});
  spilled_ = device.bytes_in_use() < before + snapshot->observation.cache().bytes();
  time_.prefill += clock.lap();
  time_.prompt_tokens += shape.tokens;
  end_phase(device, time_.peaks.prefill, time_);
  return snapshot;
}

// Every point is a pure function of the snapshot.
void Evaluation::select() {
  Clock clock;
  std::vector<std::string> errors;
  kept_ = select_all(points_, example_.snapshot->observation, errors, example_.alone);
  answering_.kept = kept_;
  for (std::size_t p = 0; p < points_.size(); ++p) {
    answers_[p] = about(points_[p], kept_[p], example_.shape());
    answers_[p].error = errors[p];
    if (errors[p].empty()) alive_.push_back(p);
  }
  time_.select += clock.lap();
  end_phase(example_.device, time_.peaks.select, time_);
}

std::vector<Answer> Evaluation::finish(const Continuation& continuation) {
  Clock clock;
  Device& device = example_.device;
  end_phase(device, time_.peaks.decode, time_);
  if (continuation.kind != Continuation::Kind::kNone) {
    const std::size_t tables = add_fidelity(continuation);
    time_.peak_bytes = std::max(time_.peak_bytes, device.peak_bytes() + tables);
  }
  time_.fidelity += clock.lap();
  return std::move(answers_);
}

// -> bytes of its tables
std::size_t Evaluation::add_fidelity(const Continuation& continuation) {
  GivenTokens given{continuation.reference};
  if (continuation.kind == Continuation::Kind::kAnswer) {
    const Answer full = full_answer();
    given = {full.tokens, std::ssize(full.tokens) < example_.limits.max_new};
    for (Answer& answer : answers_)
      if (!full.error.empty() && answer.error.empty())
        answer.error = "fidelity: the full cache: " + full.error;
  }
  return measure_fidelity(example_, given, continuation, points_, kept_, answers_);
}

// What the full cache answers, whether or not it is among the points.
Answer Evaluation::full_answer() const {
  for (std::size_t p = 0; p < points_.size(); ++p)
    if (!points_[p].policy->evicts() && points_[p].masked_heads.empty() && answers_[p].error.empty())
      return answers_[p];
  const KvShape& shape = example_.shape();
  const Point full{.name = "full", .policy = make_policy("full"), .unit = "full"};
  const Kept everything{Selection::everything(shape.layers, shape.kv_heads, shape.tokens), {}, {}};
  Answer answer;
  Timing unused;
  Answering answering{example_, std::span(&full, 1), std::span(&everything, 1), std::span(&answer, 1),
                      unused};
  answer_all(answering, {0});
  return answer;
}

}  // namespace evictbench
