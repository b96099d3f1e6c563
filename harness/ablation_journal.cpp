#include "harness/ablation_journal.h"

#include <fmt/format.h>

#include "core/io/json.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

constexpr const char* kName = "answers.jsonl";
constexpr const char* kRestart = "remove the file to answer all examples anew";

// {"task":..,"example":..,"scores":{"exact":[a score of every mask],..}}
std::string line_of(const Ablation::Example& example) {
  JsonText out;
  out.open('{').key("task").text(example.task).key("example").text(example.id).key("scores").open('{');
  for (const auto& [name, first] : example.scores.front()) {
    out.key(name).open('[');
    for (const auto& scores : example.scores) out.number(scores.at(name));
    out.close();
  }
  return out.close().close().str();
}

Ablation::Example example_in(const Json& line, const PlanTask& task, const Example& from, std::size_t masks) {
  const auto &found_task = line.at("task").string(), &found = line.at("example").string();
  if (found_task != task.id || found != from.id)
    line.reject("06", fmt::format("example {} {}", printable(found_task), printable(found)),
                fmt::format("example {} {}", printable(task.id), printable(from.id)), kRestart);
  Ablation::Example out{task.id, from.id, from.length, from.depth, {}};
  out.scores.resize(masks);
  for (const auto& [name, list] : line.at("scores").items()) {
    if (list.size() != masks)
      list.reject("06", fmt::format("{} scores", list.size()), fmt::format("{}", masks), kRestart);
    for (std::size_t m = 0; m < masks; ++m) out.scores[m][name] = list[m].number(0, 1);
  }
  if (!out.scores.front().contains(task.dataset->main_score()))
    line.reject("06", "no score " + task.dataset->main_score(), "the scores of the task", kRestart);
  return out;
}

}  // namespace

AblationJournal::AblationJournal(const OutputFolder& folder, const std::string& identity, const Plan& plan,
                                 std::size_t masks)
    : folder_(folder),
      journal_(folder.file(kName), identity, "E-AB", "choose another --out, or remove the file") {
  std::size_t task = 0, example = 0;
  for (const std::string& line : journal_.lines()) {
    const Json json = Json::from_text(
        line, journal_.path(),
        {.exit = Exit::kOutput, .code_prefix = "E-AB", .depth = 4, .first_line = examples_.size() + 2});
    for (; task < plan.tasks.size() && example == plan.tasks[task].examples.size(); ++task) example = 0;
    if (task == plan.tasks.size()) json.reject("06", "an example beyond the last", "no more lines", kRestart);
    examples_.push_back(example_in(json, plan.tasks[task], plan.tasks[task].examples[example++], masks));
  }
}

void AblationJournal::append(Ablation::Example example) {
  journal_.append(line_of(example));
  folder_.require_there(journal_.descriptor(), kName);
  examples_.push_back(std::move(example));
}

}  // namespace evictbench
