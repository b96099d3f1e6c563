#include <fmt/format.h>

#include <set>

#include "reports/html_sections.h"
#include "reports/html_text.h"
#include "reports/labels.h"
#include "reports/svg.h"
#include "reports/writers.h"

namespace evictbench {
namespace {

std::string counted(std::size_t n, const char* one, const char* many) {
  return fmt::format("{} {}", count_label(static_cast<double>(n)), n == 1 ? one : many);
}

std::string summary(const Page& page) {
  std::set<std::string> tasks, examples, points;
  std::size_t failed = 0;
  for (const Record& record : page.input.records) {
    tasks.insert(record.task);
    examples.insert(record.task + '\0' + record.example);
    points.insert(record.policy + '\0' + budget_label(record.budget_unit, record.budget));
    failed += !record.error.empty();
  }
  std::string out = counted(page.input.records.size(), "answer", "answers") + ": " +
                    counted(points.size(), "point", "points") + " (policy and budget) on " +
                    counted(examples.size(), "example", "examples") + " of " +
                    counted(tasks.size(), "task", "tasks") + ", " +
                    counted(page.all.settings.size(), "setting", "settings") + ".";
  if (failed > 0) out += fmt::format(" <span class=\"hole\">failed: {}</span>", failed);
  return out;
}

std::string notes_section(const Page& page) {
  if (page.all.notes.empty()) return "";
  std::string list = "<ul class=\"notes\">";
  for (const std::string& note : page.all.notes) list += "<li>" + escape_html(note) + "</li>\n";
  return section("warnings", "Warnings", "", list + "</ul>");
}

std::string facts_section(const Page& page) {
  if (page.input.facts.empty()) return "";
  // Folded: a sweep of many points says more of itself than a reader wants before its curves.
  return section(
      "run", "What ran", "",
      fmt::format("<details><summary>{} facts: the resolved sweep, and digests of model and data</summary>\n"
                  "{}</details>\n",
                  page.input.facts.size(), facts_list(page.input.facts)));
}

std::string timings_section(const Page& page) {
  if (page.input.timings.empty()) return "";
  return section(
      "timings", "Timings",
      "What a clock or a memory mark said on this machine. Nothing else on this page depends on it.",
      facts_list(page.input.timings));
}

// A link for every section that is there.
std::string navigation(const std::string& body) {
  static constexpr std::pair<const char*, const char*> kSections[] = {
      {"run", "What ran"},
      {"warnings", "Warnings"},
      {"overview", "Benchmarks"},
      {"curves", "Score over budget"},
      {"scores", "Scores"},
      {"fidelity", "Fidelity"},
      {"sufficient", "Smallest sufficient budget"},
      {"costs", "Kept entries and bytes"},
      {"heat", "Length and depth"},
      {"layers", "Kept by layer"},
      {"answers", "Sample answers"},
      {"timings", "Timings"}};
  std::string out = "<nav>";
  for (const auto& [id, title] : kSections)
    if (body.find(fmt::format("<section id=\"{}\"", id)) != body.npos)
      out += fmt::format("<a href=\"#{}\">{}</a>", id, title);
  return out + "</nav>\n";
}

}  // namespace

Page::Page(const Aggregate& aggregate, const ReportInput& report) : all(aggregate), input(report) {
  std::map<std::pair<std::string, std::string>, std::string> by_label;
  for (const Setting& setting : all.settings)
    for (const PointSummary& point : setting.points)
      if (!point.is_full()) by_label[{all.labels.at(point.policy), point.policy}] = point.policy;
  for (const auto& [label, policy] : by_label) styles.emplace(policy, styles.size());
}

std::string Page::key(const std::string& policy) const {
  return svg_key(styles.at(policy)) + escape_html(all.labels.at(policy));
}

std::string setting_title(const Setting& s) {
  return fmt::format("<strong>{}</strong> <span class=\"quiet\">question {}, first token {}, {}</span>",
                     escape_html(s.task), escape_html(s.question), escape_html(s.first_token),
                     escape_html(s.compute));
}

std::string page_html(const Aggregate& all, const ReportInput& input) {
  const Page page(all, input);
  const std::string body = facts_section(page) + notes_section(page) + overview_section(page) +
                           curves_section(page) + scores_section(page) + fidelity_section(page) +
                           sufficient_section(page) + costs_section(page) + heat_maps_section(page) +
                           layers_section(page) + answers_section(page) + timings_section(page);
  return page_of({.title = "evictbench report",
                  .heading = "KV-cache eviction report",
                  .lead = summary(page),
                  .navigation = navigation(body),
                  .body = body,
                  .footer = "Made by evictbench from records.jsonl. Scores are 0 to 100; intervals are 95 %.",
                  .style = ""});
}

}  // namespace evictbench
