#include "harness/ablation.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "datasets/draws.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

std::vector<int> best(const HeadRanking& ranking, int count) {
  return {ranking.heads.begin(), ranking.heads.begin() + count};
}

// Heads that are not among the best `count` of any kind, ascending.
std::vector<int> others(std::span<const HeadRanking> rankings, int count) {
  std::set<int> rest(rankings.front().heads.begin(), rankings.front().heads.end());
  for (const HeadRanking& ranking : rankings)
    for (const int head : best(ranking, count)) rest.erase(head);
  return {rest.begin(), rest.end()};
}

bool enough(std::span<const HeadRanking> rankings, int count) {
  return count <= std::ssize(rankings.front().heads) && count <= std::ssize(others(rankings, count));
}

std::vector<int> shuffled(std::vector<int> heads, std::uint64_t seed, int draw) {
  Draws draws(seed, static_cast<std::uint64_t>(draw));
  for (std::size_t left = heads.size(); left > 1; --left)
    std::swap(heads[left - 1], heads[draws.below(left)]);
  return heads;
}

// One point for each mask, over the whole cache.
std::vector<Point> points_of(std::span<const Ablation::Mask> masks) {
  const std::shared_ptr<const Policy> full = make_policy("full");
  std::vector<Point> points;
  for (const Ablation::Mask& mask : masks)
    points.push_back({.name = fmt::format("{} {}", mask.kind, mask.count),
                      .policy = full,
                      .unit = "full",
                      .amount = 0,
                      .masked_heads = mask.heads});
  return points;
}

}  // namespace

std::vector<Ablation::Mask> make_masks(std::span<const HeadRanking> rankings, const MaskPlan& plan) {
  require(!rankings.empty(), "an ablation without scores");
  const int most = plan.counts.empty() ? 1 : plan.counts.back();
  int fitting = most;
  while (!enough(rankings, fitting)) --fitting;
  if (fitting < most)
    reject(Exit::kUsage,
           {"E-AB-01", "--mask", "",
            fmt::format("beside the best {} heads of each kind there are not {} others to mask at random",
                        most, most),
            fmt::format("at most {} of this model's {} heads", fitting, rankings.front().heads.size()),
            "mask fewer heads, or name fewer score files"});
  std::vector<Ablation::Mask> masks{{"none", 0, 0, {}}};
  for (const HeadRanking& ranking : rankings)
    for (const int count : plan.counts) masks.push_back({ranking.kind, count, 0, best(ranking, count)});
  const std::vector<int> rest = others(rankings, most);
  for (int draw = 0; draw < plan.draws; ++draw) {
    const HeadRanking order{"random", shuffled(rest, plan.seed, draw)};
    for (const int count : plan.counts) masks.push_back({order.kind, count, draw, best(order, count)});
  }
  return masks;
}

std::vector<int> usual_counts(std::span<const HeadRanking> rankings) {
  std::vector<int> counts;
  for (const int count : {1, 2, 4, 8, 16, 32})
    if (enough(rankings, count)) counts.push_back(count);
  return counts;
}

Ablation::Example answer_masked(Device& device, const Model& model, const Prepared& run, const PlanTask& task,
                                const Example& example, std::span<const Ablation::Mask> masks,
                                const std::function<void()>& checkpoint) {
  const auto answers = evaluate(device, model, run.prompt_of(example), points_of(masks), {},
                                run.limits_of(example), nullptr, checkpoint);
  Ablation::Example out{task.id, example.id, example.length, example.depth, {}};
  for (const Answer& answer : answers) {
    if (!answer.error.empty())
      reject(Exit::kInput, {"E-AB-02", run.checkpoint.path(), fmt::format("example {}", example.id),
                            answer.error, "an answer", "check the model"});
    out.scores.push_back(task.dataset->score(example, run.checkpoint.tokenizer().decode(answer.tokens)));
  }
  return out;
}

}  // namespace evictbench
