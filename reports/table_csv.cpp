#include <fmt/format.h>

#include <set>

#include "reports/json_text.h"
#include "reports/writers.h"

namespace evictbench {
namespace {

// RFC 4180, with line ends of one byte.
class Csv {
 public:
  Csv& text(const std::string& value) {
    if (!row_start_) out_ += ',';
    row_start_ = false;
    const std::string clean = valid_utf8(value);
    if (clean.find_first_of(",\"\r\n") == clean.npos) {
      out_ += clean;
      return *this;
    }
    out_ += '"';
    for (const char c : clean) out_ += c == '"' ? "\"\"" : std::string(1, c);
    out_ += '"';
    return *this;
  }
  Csv& number(double value) { return text(shortest(value)); }
  Csv& count(std::size_t value) { return text(std::to_string(value)); }
  Csv& estimate(const Estimate* estimate) {  // mean, low, high
    const bool known = estimate != nullptr && estimate->count > 0;
    text(known ? shortest(estimate->mean) : "");
    const bool wide = known && estimate->interval;
    text(wide ? shortest(estimate->interval->low) : "");
    return text(wide ? shortest(estimate->interval->high) : "");
  }
  void end_row() {
    out_ += '\n';
    row_start_ = true;
  }
  const std::string& str() const { return out_; }

 private:
  std::string out_;
  bool row_start_ = true;
};

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
