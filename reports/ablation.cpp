#include "reports/ablation.h"

#include <algorithm>
#include <numeric>

#include "reports/ablation_writers.h"

namespace evictbench {
namespace {

using Examples = std::vector<const Ablation::Example*>;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Masks of one kind and K: one, or the draws.
std::vector<std::size_t> masks_of(const Ablation& all, const std::string& kind, int count) {
  std::vector<std::size_t> out;
  for (std::size_t m = 0; m < all.masks.size(); ++m)
    if (all.masks[m].kind == kind && all.masks[m].count == count) out.push_back(m);
  return out;
}

class Summary {
 public:
  Summary(const Ablation& all, std::string task, std::string score)
      : all_(all), task_(std::move(task)), score_(std::move(score)) {
    for (const Ablation::Example& example : all.examples)
      if (example.task == task_) examples_.push_back(&example);
  }

  AblationTable table() const {
    AblationTable out{task_, score_, all_.main_scores.at(task_) == score_, point("none", 0), {}};
    std::vector<std::string> kinds = all_.kinds;
    kinds.emplace_back("random");
    for (const std::string& kind : kinds) {
      out.rows.push_back({kind, {}});
      for (const int count : all_.counts) out.rows.back().points.push_back(point(kind, count));
    }
    return out;
  }

 private:
  double score(const Ablation::Example& example, std::size_t mask) const {
    return example.scores[mask].at(score_);
  }

  // Of each example, the mean over masks.
  std::vector<double> scores(const std::vector<std::size_t>& masks) const {
    std::vector<double> out;
    for (const Ablation::Example* example : examples_) {
      double sum = 0;
      for (const std::size_t mask : masks) sum += score(*example, mask);
      out.push_back(sum / static_cast<double>(masks.size()));
    }
    return out;
  }

  AblationPoint point(const std::string& kind, int count) const {
    const auto masks = masks_of(all_, kind, count);
    const std::vector<double> mine = scores(masks);
    const std::uint64_t key = key_of({task_, score_, kind, std::to_string(count)});
    AblationPoint out{count, estimate_score(mine, key), std::nullopt, std::nullopt, {}};
    if (kind == "random") {
      std::vector<double> draws;
      for (const std::size_t mask : masks) draws.push_back(mean_of(scores({mask})));
      out.draws = Interval{std::ranges::min(draws), std::ranges::max(draws)};
    } else if (kind != "none") {
      std::vector<double> differences = scores(masks_of(all_, "random", count));
      for (std::size_t i = 0; i < mine.size(); ++i) differences[i] -= mine[i];
      out.cost = estimate_difference(differences, key);
    }
    for (std::size_t i = 0; i < examples_.size(); ++i) {
      if (examples_[i]->depth < 0) continue;
      auto& [mean, n] = out.cells[{examples_[i]->depth, examples_[i]->length}];
      mean += (mine[i] - mean) / static_cast<double>(++n);
    }
    return out;
  }

  const Ablation& all_;
  std::string task_, score_;
  Examples examples_;
};

}  // namespace

std::vector<AblationTable> ablation_tables(const Ablation& all) {
  std::vector<std::string> tasks;
  for (const Ablation::Example& example : all.examples)
    if (std::ranges::find(tasks, example.task) == tasks.end()) tasks.push_back(example.task);
  std::vector<AblationTable> tables;
  for (const std::string& task : tasks) {
    const auto example = std::ranges::find(all.examples, task, &Ablation::Example::task);
    std::vector<std::string> scores{all.main_scores.at(task)};
    for (const auto& [name, value] : example->scores.front())
      if (name != scores.front()) scores.push_back(name);
    for (const std::string& score : scores) tables.push_back(Summary(all, task, score).table());
  }
  return tables;
}

std::vector<std::pair<std::string, std::string>> ablation_files(const Ablation& all) {
  const std::vector<AblationTable> tables = ablation_tables(all);
  return {{"ablation.json", ablation_json(all)},
          {"ablation.csv", ablation_csv(tables)},
          {"ablation.md", ablation_markdown(all, tables)},
          {"ablation.html", ablation_page(all, tables)}};
}

}  // namespace evictbench
