#pragma once

#include <map>
#include <string>

#include "reports/aggregate.h"
#include "reports/html_page.h"
#include "reports/report.h"

// The parts of report.html. Each function gives a whole <section>, or "" where there is nothing to show.
namespace evictbench {

struct Page {
  const Aggregate& all;
  const ReportInput& input;
  std::map<std::string, std::size_t> styles;  // policy -> line style, the same on the whole page

  Page(const Aggregate& all, const ReportInput& input);
  std::string key(const std::string& policy) const;  // legend mark and label, escaped
};

std::string legend(const Page& page, bool with_full);  // of every policy's line
std::string setting_title(const Setting& setting);  // "<strong>niah</strong> <span ...>question inside ..."
std::string score_chart(const Page& page, const Setting& setting);
std::string score_table(const Page& page, const Setting& setting);
std::string fidelity_chart(const Page& page, const Setting& setting);  // "" where there is none
std::string fidelity_table(const Page& page, const Setting& setting, bool open);

std::string overview_section(const Page& page);

std::string curves_section(const Page& page);
std::string scores_section(const Page& page);
std::string sufficient_section(const Page& page);
std::string costs_section(const Page& page);
std::string fidelity_section(const Page& page);
std::string heat_maps_section(const Page& page);
std::string layers_section(const Page& page);
std::string answers_section(const Page& page);

}  // namespace evictbench
