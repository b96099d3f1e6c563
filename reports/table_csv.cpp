#include <fmt/format.h>

#include <set>

#include "reports/csv_text.h"
#include "reports/fidelity.h"
#include "reports/json_text.h"
#include "reports/writers.h"

namespace evictbench {
namespace {

void add_row(Csv& csv, const Aggregate& all, const Setting& setting, const PointSummary& point,
             const std::string& name) {
  const auto found = point.scores.find(name);
  const ScoreSummary* score = found == point.scores.end() ? nullptr : &found->second;
  const Estimate* gap = score != nullptr && score->gap ? &*score->gap : nullptr;
  csv.text(setting.task).text(setting.question).text(setting.first_token).text(setting.compute);
  csv.text(point.policy)
      .text(point.policy_name)
      .text(point.budget_unit)
      .number(point.budget)
      .text(point.point);
  csv.text(name).text(name == setting.main_score ? "yes" : "no");
  csv.count(point.answered).count(point.failed);
  csv.estimate(score == nullptr ? nullptr : &score->mean).text(score == nullptr ? "" : score->mean.method);
  csv.estimate(gap).count(gap == nullptr ? 0 : gap->count).count(point.same_answers);
  const auto cost = [&](double value) { csv.text(point.answered == 0 ? "" : shortest(value)); };
  for (const double value :
       {point.asked, point.kept, point.full_entries, point.kept_share, point.retained_bytes})
    cost(value);
  csv.text(point.fidelity ? std::to_string(point.fidelity->tokens) : "");
  for (const FidelityMeasure& measure : kFidelityMeasures)
    csv.estimate(point.fidelity ? &(*point.fidelity.*measure.value) : nullptr);
  const auto compared = all.compared.find(point.policy);
  csv.count(point.leaked)
      .text(compared == all.compared.end() ? "" : fmt::format("{}", fmt::join(compared->second, " ")));
  csv.end_row();
}

}  // namespace

std::string table_csv(const Aggregate& all) {
  Csv csv;
  for (const char* name : {"task",
                           "question",
                           "first_token",
                           "compute",
                           "policy",
                           "policy_name",
                           "budget_unit",
                           "budget",
                           "point",
                           "score",
                           "main",
                           "answered",
                           "failed",
                           "mean",
                           "low",
                           "high",
                           "interval",
                           "gap_to_full",
                           "gap_low",
                           "gap_high",
                           "pairs",
                           "same_answers",
                           "asked",
                           "kept",
                           "full_entries",
                           "kept_share",
                           "retained_bytes",
                           "fidelity_tokens",
                           "kl",
                           "kl_low",
                           "kl_high",
                           "agreement",
                           "agreement_low",
                           "agreement_high",
                           "delta_nll",
                           "delta_nll_low",
                           "delta_nll_high",
                           "mass",
                           "mass_low",
                           "mass_high",
                           "leaked",
                           "compared_options"})
    csv.text(name);
  csv.end_row();
  for (const Setting& setting : all.settings) {
    std::set<std::string> names{setting.main_score};  // a point that failed throughout is a row with holes
    for (const PointSummary& point : setting.points)
      for (const auto& [name, score] : point.scores) names.insert(name);
    for (const PointSummary& point : setting.points)
      for (const std::string& name : names) add_row(csv, all, setting, point, name);
  }
  return csv.str();
}

}  // namespace evictbench
