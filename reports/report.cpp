#include "reports/report.h"

#include "reports/writers.h"

namespace evictbench {

std::vector<std::pair<std::string, std::string>> derived_files(const ReportInput& input) {
  Aggregate all = aggregate(input.records, input.main_scores, input.leaks);
  all.notes.insert(all.notes.begin(), input.warnings.begin(), input.warnings.end());
  return {{"results.json", results_json(all)},
          {"results.csv", table_csv(all)},
          {"results.md", table_markdown(all)},
          {"results.tex", table_latex(all)},
          {"report.html", page_html(all, input)}};
}

}  // namespace evictbench
