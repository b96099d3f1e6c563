#include <fmt/format.h>

#include <tuple>

#include "reports/html_sections.h"
#include "reports/html_text.h"
#include "reports/labels.h"

namespace evictbench {
namespace {

constexpr std::size_t kExamples = 10;    // per setting
constexpr std::size_t kMostShown = 600;  // bytes of an answer

using ExampleKey = std::tuple<int, double, std::string>;  // length, depth, example

// What the points said about one example.
struct Answers {
  const Record* full = nullptr;
  std::size_t same = 0, points = 0;  // others that said what the full cache said, and all others
  // Score (negative: best first), text or error, failed -> points that gave it, policy -> budgets.
  using Points = std::map<std::string, std::vector<std::string>>;
  std::map<std::tuple<double, std::string, bool>, Points> others;
};

std::string shown(const std::string& text) {
  if (text.size() <= kMostShown) return escape_html(text);
  std::size_t cut = kMostShown;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  return escape_html(text.substr(0, cut)) + "<span class=\"quiet\"> … (cut)</span>";
}

double score_of(const Setting& setting, const Record& record) {
  const auto found = record.scores.find(setting.main_score);
  return found == record.scores.end() ? -1 : found->second;
}

std::map<ExampleKey, Answers> collect(const Page& page, const Setting& setting) {
  std::map<ExampleKey, Answers> examples;
  for (const PointSummary& point : setting.points)
    for (const Record* record : point.records) {
      Answers& answers = examples[{record->length, record->depth, record->example}];
      const bool failed = !record->error.empty();
      if (point.is_full() && !failed && answers.full == nullptr) {
        answers.full = record;
        continue;
      }
      ++answers.points;
      if (!failed && answers.full != nullptr && record->answer == answers.full->answer) {
        ++answers.same;
        continue;
      }
      const double score = failed ? 2 : -score_of(setting, *record);
      answers
          .others[{score, failed ? record->error : record->answer, failed}][page.all.labels.at(point.policy)]
          .push_back(budget_label(point.budget_unit, point.budget));
    }
  return examples;
}

std::string row(const std::string& who, const std::string& text, const std::string& score) {
  return fmt::format(
      "<tr><th class=\"who\">{}</th><td><span class=\"text\">{}</span></td><td "
      "class=\"score\">{}</td></tr>\n",
      who, text, score);
}

std::string names(const Answers::Points& points) {
  std::vector<std::string> parts;
  for (const auto& [policy, budgets] : points)
    parts.push_back(policy == "full" ? policy : fmt::format("{} at {}", policy, fmt::join(budgets, ", ")));
  return escape_html(fmt::format("{}", fmt::join(parts, "; ")));
}

std::string score_text(double score) { return score < 0 ? "" : fmt::format("{:.0f}", 100 * score); }

std::string example(const Page& page, const Setting& setting, const ExampleKey& key, const Answers& answers) {
  const auto& [length, depth, name] = key;
  std::string out = fmt::format("<h3>{} <span class=\"quiet\">{}{}</span></h3>\n", escape_html(name),
                                length > 0 ? fmt::format("length {}", count_label(length)) : "",
                                depth < 0 ? "" : fmt::format(", depth {:.4g} %", depth));
  out += "<table class=\"answers\"><tbody>";
  if (const auto right = page.input.references.find(setting.task + "/" + name);
      right != page.input.references.end())
    out += row("<span class=\"quiet\">reference</span>", shown(right->second), "");
  if (answers.full != nullptr)
    out += row(fmt::format("full cache <span class=\"quiet\">and {} of {} points</span>", answers.same,
                           answers.points),
               shown(answers.full->answer), score_text(score_of(setting, *answers.full)));
  for (const auto& [what, points] : answers.others) {
    const auto& [score, text, failed] = what;
    out +=
        row(names(points), failed ? "<span class=\"hole\">failed: " + shown(text) + "</span>" : shown(text),
            failed ? "" : score_text(-score));
  }
  return out + "</tbody></table>\n";
}

}  // namespace

std::string answers_section(const Page& page) {
  std::string body;
  for (const Setting& setting : page.all.settings) {
    std::string shown_examples;
    std::size_t shown_count = 0, differing = 0;
    const auto examples = collect(page, setting);
    for (const auto& [key, answers] : examples) {
      if (answers.others.empty()) continue;
      ++differing;
      if (shown_count == kExamples) continue;
      ++shown_count;
      shown_examples += example(page, setting, key, answers);
    }
    body += fmt::format(
        "<details><summary>{} <span class=\"quiet\">— {} of {} examples differ, {} "
        "shown</span></summary>\n{}</details>\n",
        setting_title(setting), differing, examples.size(), shown_count, shown_examples);
  }
  return section(
      "answers", "Sample answers",
      "The first examples that some point answers otherwise than the full cache does. Points that say the "
      "same share a line.",
      body);
}

}  // namespace evictbench
