#include "harness/warnings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace evictbench {
namespace {

constexpr const char* kSingleToken =
    "an answer of a single token, which first_token: full takes from the full cache; eviction cannot show in "
    "it";

// What was found of one entry's tasks, by what it means.
class Findings {
 public:
  void add(const Warning& warning) {
    auto at = std::ranges::find(groups_, warning.meaning, &Group::meaning);
    if (at == groups_.end()) at = groups_.insert(at, {warning.meaning, {}});
    at->found.push_back(warning.found);
  }
  std::vector<std::string> lines(const std::string& entry) const {
    std::vector<std::string> out;
    for (const Group& group : groups_)
      out.push_back(fmt::format("{}: {}{}{}", entry, fmt::join(group.found, ", "),
                                group.meaning.empty() ? "" : ": ", group.meaning));
    return out;
  }

 private:
  struct Group {
    std::string meaning;
    std::vector<std::string> found;
  };
  std::vector<Group> groups_;  // in the order in which they were met
};

// The first of a task's answers, by the alphabet, that is a single token; "" where none is.
std::string single_token(const PlanTask& task, const TokenCounter& count) {
  std::string first;
  for (const Example& example : task.examples)
    for (const std::string& answer : example.answers)
      if (count(" " + answer) <= 1 && (first.empty() || answer < first)) first = answer;
  return first;
}

// A task's name within its entry: "qasper" of "longbench/qasper", nothing of an entry that is one task.
std::string name_within(const std::string& entry, const PlanTask& task) {
  return task.id.size() > entry.size() + 1 ? task.id.substr(entry.size() + 1) : "";
}

}  // namespace

std::vector<std::string> warnings_of(const Prepared& run) {
  std::vector<std::string> lines;
  const auto append = [&](const std::vector<std::string>& more) {
    lines.insert(lines.end(), more.begin(), more.end());
  };
  const TokenCounter count = run.counter();
  for (const CheckedScores& scores : run.scores) append(warnings_of(scores, run.sweep.tasks));
  const bool full_first = std::ranges::any_of(
      run.plan.protocols, [](const Protocol& p) { return p.first_token == Protocol::FirstToken::kFull; });
  for (std::size_t entry = 0; entry < run.sweep.tasks.size(); ++entry) {
    const std::string& id = run.sweep.tasks[entry].id;
    Findings findings;
    for (const PlanTask& task : run.plan.tasks) {
      if (task.entry != entry) continue;
      for (const Warning& warning : task.dataset->warnings()) findings.add(warning);
      const std::string answer = full_first ? single_token(task, count) : "";
      if (answer.empty()) continue;
      const Warning warning{fmt::format("\"{}\"", printable(answer)), kSingleToken};
      const std::string name = name_within(id, task);
      findings.add(name.empty() ? warning : warning.of(name));
    }
    append(findings.lines(id));
  }
  return lines;
}

}  // namespace evictbench
