#include "harness/evaluate.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/device_limits.h"
#include "harness/evaluation.h"

namespace evictbench {

std::size_t DecodeLimits::batch_bytes_on(Device& device) {
  auto* card = dynamic_cast<DeviceLimits*>(&device);
  return card ? static_cast<std::size_t>(card->free_bytes()) / 2 : DecodeLimits{}.batch_bytes;
}

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
                             std::vector<std::string>& errors, bool alone) {
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
      if (!fails_alone(error, alone)) throw;
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
  Evaluation example(device, model, prompt, points, protocol, limits, timing ? *timing : unused, checkpoint,
                     /*alone=*/true);
  answer_all(example.answering(), example.alive());
  return example.finish(continuation);
}

}  // namespace evictbench
