#include "harness/evaluate.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "core/device_errors.h"
#include "harness/feeding.h"
#include "harness/fidelity.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class Clock {
 public:
  double lap() {  // seconds since the last one
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// The answers of a batch in the making.
class Decoding {
 public:
  Decoding(std::span<Answer> answers, const Feed& feed, const DecodeLimits& limits)
      : answers_(answers), limits_(limits), next_(answers.size(), feed.tokens) {}

  // The greedy token of point p, or -1 for logits that are not all numbers; an end, or the last token allowed, closes
  // the point. Row `row` of `logits` [rows, V] is where it comes from.
  void hear(std::size_t p, std::int32_t token, const Tensor& logits, std::size_t row) {
    next_[p].clear();
    if (answers_[p].tokens.empty()) token = limits_.first_token(logits, row, token);
    if (token < 0) {
      fail(p, fmt::format("a logit that is not a number after {} tokens", answers_[p].tokens.size()));
      return;
    }
    if (limits_.ends(token)) return;
    answers_[p].tokens.push_back(token);
    if (std::ssize(answers_[p].tokens) < limits_.max_new) next_[p] = {token};
  }
  const std::vector<Tokens>& next() const {
    return next_;
  }  // [P] to be fed; empty where the answer is complete
  bool open() const {
    return std::ranges::any_of(next_, [](const Tokens& t) { return !t.empty(); });
  }
  void fail(std::size_t p, const std::string& error) {
    answers_[p].error = error;
    next_[p].clear();
  }

 private:
  std::span<Answer> answers_;
  const DecodeLimits& limits_;
  std::vector<Tokens> next_;
};

std::string origin_of_nan(const RaggedCache& cache, int point) {
  const int layer = cache.first_layer_not_finite(point), layers = cache.shape().layers;
  return layer < layers
             ? fmt::format(": its keys and values are not numbers from layer {} of {} on", layer, layers)
             : fmt::format(
                   ": keys and values of all {} layers are numbers, so it arose in the last one or in the "
                   "head",
                   layers);
}

void decode(const Prefilled& example, Feeder& feeder, std::span<Answer> answers, Timing& timing) {
  Device& device = example.device;
  Decoding decoding(answers, example.feed, example.limits);
  if (example.feed.tokens.empty()) {
    const std::vector<float>& last = example.snapshot->last_logits;
    const Tensor logits = Tensor::from_host<float>(device, last, {1, static_cast<int>(last.size())});
    const auto first = device.ops().best(device, logits);
    for (std::size_t p = 0; p < answers.size(); ++p) decoding.hear(p, first[0], logits, 0);
  }
  while (decoding.open()) {
    const std::vector<Tokens> fed = decoding.next();
    const Tensor logits = feeder.feed(fed);
    const std::vector<std::int32_t> best = device.ops().best(device, logits);  // [points fed]
    std::size_t row = 0;
    for (std::size_t p = 0; p < fed.size(); ++p) {
      if (fed[p].empty()) continue;
      timing.decoded_tokens += static_cast<int>(fed[p].size());
      decoding.hear(p, best[row], logits, row);
      ++row;
      if (!answers[p].error.empty()) answers[p].error += origin_of_nan(feeder.cache(), static_cast<int>(p));
      if (decoding.next()[p].empty()) continue;
      try {
        feeder.apply_rule(p);
      } catch (const Error& error) {
        decoding.fail(p, error.what());
      }
    }
    ++timing.steps;
  }
}

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

// A device may run behind; reading what comes last waits for it.
void wait_for(Device& device) { Tensor::zeros(device, DType::kI32, {1}).to_host<std::int32_t>(); }

// Answers of a batch of points, decoded together; where the device has not the memory for it, one half after the other.
void answer_batch(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept,
                  std::span<const std::size_t> batch, std::span<Answer> answers, Timing& time) {
  Clock clock;
  const int room = static_cast<int>(example.feed.tokens.size()) + example.limits.max_new;
  try {
    const std::vector<Point> mine = picked(points, batch);
    Feeder feeder(example, mine, picked(kept, batch), room);
    wait_for(example.device);
    time.gather += clock.lap();
    time.peaks.gather = std::max(time.peaks.gather, example.device.bytes_in_use());
    auto mine_answers = picked(std::span<const Answer>(answers), batch);
    for (std::size_t i = 0; i < batch.size(); ++i)
      mine_answers[i].retained_bytes = feeder.cache().retained_bytes(static_cast<int>(i));
    decode(example, feeder, mine_answers, time);
    for (std::size_t i = 0; i < batch.size(); ++i) answers[batch[i]] = std::move(mine_answers[i]);
    time.decode += clock.lap();
    return;
  } catch (const OutOfMemory& error) {
    if (batch.size() == 1) {
      answers[batch[0]].error = error.what();
      return;
    }
  }
  answer_batch(example, points, kept, batch.first(batch.size() / 2), answers, time);
  answer_batch(example, points, kept, batch.subspan(batch.size() / 2), answers, time);
}

// Answers of the points `alive`, a sequence each, as many together as fit.
void answer_all(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept,
                const std::vector<std::size_t>& alive, std::span<Answer> answers, Timing& time) {
  const int room = static_cast<int>(example.feed.tokens.size()) + example.limits.max_new;
  for (const auto& batch : batches_of(kept, alive, example.shape(), room, example.limits.batch_bytes))
    answer_batch(example, points, kept, batch, answers, time);
}

// What the full cache answers, whether or not it is among the points.
Answer full_answer(const Prefilled& example, std::span<const Point> points, std::span<const Answer> answers) {
  for (std::size_t p = 0; p < points.size(); ++p)
    if (!points[p].policy->evicts() && points[p].masked_heads.empty() && answers[p].error.empty())
      return answers[p];
  const KvShape& shape = example.shape();
  const Point full{.name = "full", .policy = make_policy("full"), .unit = "full"};
  const Kept everything{Selection::everything(shape.layers, shape.kv_heads, shape.tokens), {}, {}};
  Answer answer;
  Timing unused;
  answer_all(example, std::span(&full, 1), std::span(&everything, 1), {0}, std::span(&answer, 1), unused);
  return answer;
}

// -> bytes of its tables
std::size_t add_fidelity(const Prefilled& example, const Continuation& continuation,
                         std::span<const Point> points, std::span<const Kept> kept,
                         std::span<Answer> answers) {
  GivenTokens given{continuation.reference};
  if (continuation.kind == Continuation::Kind::kAnswer) {
    const Answer full = full_answer(example, points, answers);
    given = {full.tokens, std::ssize(full.tokens) < example.limits.max_new};
    for (Answer& answer : answers)
      if (!full.error.empty() && answer.error.empty())
        answer.error = "fidelity: the full cache: " + full.error;
  }
  return measure_fidelity(example, given, continuation, points, kept, answers);
}

}  // namespace

bool DecodeLimits::ends(std::int32_t token) const { return std::ranges::count(end_tokens, token) > 0; }

std::int32_t DecodeLimits::first_token(const Tensor& logits, std::size_t row, std::int32_t best) const {
  if (first_may_end || !ends(best)) return best;
  std::vector<float> mine(static_cast<std::size_t>(logits.columns()));  // [V]
  logits.device().download(mine.data(), logits.row<float>(static_cast<std::ptrdiff_t>(row)),
                           mine.size() * sizeof(float));
  best = -1;
  for (std::int32_t id = 0; id < std::ssize(mine); ++id) {
    if (ends(id)) continue;
    if (best < 0 || mine[static_cast<std::size_t>(id)] > mine[static_cast<std::size_t>(best)]) best = id;
  }
  return best;
}

std::uint64_t Prompt::hash() const {
  Tokens all = context;
  all.insert(all.end(), question.begin(), question.end());
  return XXH3_64bits(all.data(), all.size() * sizeof all[0]);
}

Budget Point::budget(const KvShape& shape) const {
  Budget budget{amount};
  if (unit == "ratio") budget = Budget::of_ratio(amount, shape);
  if (unit == "bytes") budget = Budget::of_bytes(amount, shape);
  if (unit == "full") budget = {static_cast<double>(shape.tokens)};
  budget.rule = policy->rule();
  return budget;
}

Needs needs_of(std::span<const Point> points, const KvShape& shape) {
  Needs all;
  for (const Point& point : points) {
    all.add(point.policy->needs(shape));
    if (const auto rule = point.policy->decode_rule()) all.add(rule->needs());
  }
  return all;
}

std::vector<Kept> select_all(std::span<const Point> points, const Observation& seen,
                             std::vector<std::string>& errors) {
  seen.device().enter(Phase::kSelect);
  std::map<const Policy*, std::vector<std::size_t>> by_policy;
  for (std::size_t p = 0; p < points.size(); ++p) by_policy[points[p].policy.get()].push_back(p);
  std::vector<Kept> kept(points.size(), Kept{Selection(0, 0), {}, {}});
  errors.assign(points.size(), {});
  for (const auto& [policy, columns] : by_policy) {
    std::vector<Budget> budgets;
    for (const std::size_t p : columns) budgets.push_back(points[p].budget(seen.shape()));
    try {
      auto answers = policy->select(seen, budgets);
      require(answers.size() == columns.size(), "select: one answer per budget");
      for (std::size_t i = 0; i < columns.size(); ++i) {
        answers[i].selection.check(seen.lengths(answers[i].selection.heads()));
        if (policy->evicts() && budgets[i].rule == Budget::Rule::kExact &&
            answers[i].entries() > budgets[i].total(seen.shape()))
          errors[columns[i]] = points[columns[i]].name + " kept more than its budget";
        kept[columns[i]] = std::move(answers[i]);
      }
    } catch (const Error& error) {
      for (const std::size_t p : columns) errors[p] = error.what();
    }
  }
  return kept;
}

std::vector<Answer> evaluate(Device& device, const Model& model, const Prompt& prompt,
                             std::span<const Point> points, const Protocol& protocol,
                             const DecodeLimits& limits, Timing* timing,
                             const std::function<void()>& checkpoint, const Continuation& continuation) {
  Timing unused;
  Timing& time = timing ? *timing : unused;
  Clock clock;
  device.reset_peak();
  const Feed feed = feed_of(prompt, protocol);
  require(!feed.prompt.empty(), "evaluate: an empty prompt");

  // 1. One full prefill per example.
  const KvShape shape = model.shape(static_cast<int>(feed.prompt.size()));
  const auto snapshot = model.prefill(device, feed.prompt, needs_of(points, shape),
                                      {.tap = nullptr, .all_logits = {}, .checkpoint = checkpoint});
  const Prefilled example{device, model, snapshot, feed, limits, checkpoint};
  time.prefill += clock.lap();
  end_phase(device, time.peaks.prefill, time);

  // 2. Every point is a pure function of that snapshot.
  std::vector<std::string> errors;
  const std::vector<Kept> kept = select_all(points, snapshot->observation, errors);
  std::vector<Answer> answers;
  std::vector<std::size_t> alive;
  for (std::size_t p = 0; p < points.size(); ++p) {
    answers.push_back(about(points[p], kept[p], shape));
    answers.back().error = errors[p];
    if (errors[p].empty()) alive.push_back(p);
  }
  time.select += clock.lap();
  end_phase(device, time.peaks.select, time);

  // 3. One sequence per point, each lane as long as its policy left it; 4. all extended together.
  answer_all(example, points, kept, alive, answers, time);

  // 5. How near the points stay to the full cache, if asked.
  clock.lap();
  end_phase(device, time.peaks.decode, time);
  if (continuation.kind != Continuation::Kind::kNone) {
    const std::size_t tables = add_fidelity(example, continuation, points, kept, answers);
    time.peak_bytes = std::max(time.peak_bytes, device.peak_bytes() + tables);
  }
  time.fidelity += clock.lap();
  time.prompt_tokens += shape.tokens;
  return answers;
}

}  // namespace evictbench
