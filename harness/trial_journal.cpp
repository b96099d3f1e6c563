#include "harness/trial_journal.h"

#include <fmt/format.h>

#include <limits>

#include "core/io/json.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

constexpr const char* kName = "trials.jsonl";
constexpr const char* kRestart = "remove the file to measure all trials anew";

using List = std::vector<double> HeadTotals::*;
constexpr std::pair<const char*, List> kLists[] = {
    {"copy", &HeadTotals::copy},
    {"semantic", &HeadTotals::semantic},
    {"semantic_multiplicity", &HeadTotals::semantic_multiplicity},
    {"reasoning", &HeadTotals::reasoning}};

std::string line_of(const TrialRecord& record) {
  JsonText out;
  out.open('{').key("task").text(record.task).key("example").text(record.example).key("answer").open('[');
  for (const std::int32_t id : record.answer) out.integer(id);
  out.close().key("text").text(record.text).key("recall").number(record.recall).key("f1").number(record.f1);
  for (const auto& [name, list] : kLists) {
    out.key(name).open('[');
    for (const double score : record.totals.*list) out.number(score);
    out.close();
  }
  return out.close().str();
}

TrialRecord record_in(const Json& line, const Trial& trial, std::size_t heads) {
  TrialRecord record{
      line.at("task").string(), line.at("example").string(), {}, line.at("text").string(), 0, 0,
      HeadTotals(heads)};
  if (record.task != trial.task || record.example != trial.example)
    line.reject("05", fmt::format("trial {} {}", printable(record.task), printable(record.example)),
                fmt::format("trial {} {}", printable(trial.task), printable(trial.example)), kRestart);
  const Json answer = line.at("answer");
  for (std::size_t i = 0; i < answer.size(); ++i)
    record.answer.push_back(static_cast<std::int32_t>(answer[i].integer(0, INT32_MAX)));
  record.recall = line.at("recall").number(0, 1);
  record.f1 = line.at("f1").number(0, 1);
  for (const auto& [name, list] : kLists) {
    const Json scores = line.at(name);
    if (scores.size() != heads)
      scores.reject("05", fmt::format("{} scores", scores.size()), fmt::format("{}", heads), kRestart);
    for (std::size_t i = 0; i < heads; ++i)
      (record.totals.*list)[i] = scores[i].number(0, std::numeric_limits<double>::max());
  }
  return record;
}

}  // namespace

TrialJournal::TrialJournal(const OutputFolder& folder, const std::string& identity,
                           std::span<const Trial> trials, std::size_t heads)
    : folder_(folder),
      journal_(folder.file(kName), identity, "E-HD", "choose another --out, or remove the file") {
  for (const std::string& line : journal_.lines()) {
    const Json json = Json::from_text(
        line, journal_.path(),
        {.exit = Exit::kOutput, .code_prefix = "E-HD", .depth = 4, .first_line = records_.size() + 2});
    if (records_.size() == trials.size())
      json.reject("05", "a trial beyond the last", fmt::format("{} trials", trials.size()), kRestart);
    records_.push_back(record_in(json, trials[records_.size()], heads));
  }
}

void TrialJournal::append(TrialRecord record) {
  journal_.append(line_of(record));
  folder_.require_there(journal_.descriptor(), kName);
  records_.push_back(std::move(record));
}

}  // namespace evictbench
