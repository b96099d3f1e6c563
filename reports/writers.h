#pragma once

#include <string>

#include "reports/aggregate.h"
#include "reports/report.h"

// One function per output, each in a file of its own. `all.notes` begins with the warnings of the input.
namespace evictbench {

std::string results_json(const Aggregate& all);    // schemas/results.schema.json
std::string table_csv(const Aggregate& all);       // long form: a row per setting, point and score
std::string table_markdown(const Aggregate& all);  // scores and costs, policies by budgets
std::string table_latex(const Aggregate& all);     // the same scores, for booktabs
std::string page_html(const Aggregate& all, const ReportInput& input);

}  // namespace evictbench
