#include "harness/rescore.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "datasets/metrics/metric.h"
#include "datasets/segmenter.h"
#include "harness/results.h"

namespace evictbench {
namespace {

std::string point_name(const Record& record) {
  const std::string budget =
      record.budget_unit == "full" ? "" : fmt::format(" {} {}", record.budget, record.budget_unit);
  return fmt::format("{}{}, question {}, first token {}", record.policy, budget, record.question,
                     record.first_token);
}

// The judge of a task; another metric leaves its part of the answer as it is.
Judge judge_of(const std::string& task, const ExampleNotes& notes,
               const std::map<std::string, std::string>& metrics, const Segmenter* segmenter,
               const std::string& folder) {
  const auto found = notes.judges.find(task);
  if (found == notes.judges.end())
    reject(Exit::kInput,
           {"E-RS-02", folder + "/examples.json", "",
            fmt::format("nothing on how \"{}\" is judged", printable(task)),
            "the notes of a run of this version", "give the run's command again: what is there stays"});
  Judge judge = found->second;
  if (const auto other = metrics.find(task); other != metrics.end()) judge.metric = other->second;
  if (metric_named(judge.metric).chinese && segmenter == nullptr)
    reject(Exit::kInput,
           {"E-RS-03", folder, "", fmt::format("\"{}\" is scored by Chinese words", printable(task)),
            "a dictionary to cut them with", "add --jieba DIR: " + how_to_get_a_segmenter()});
  if (metric_named(judge.metric).labelled && !notes.classes.contains(task))
    reject(Exit::kInput,
           {"E-RS-04", folder + "/examples.json", "",
            fmt::format("no labels of \"{}\", which {} looks for", printable(task), judge.metric),
            "a task whose answers are labels", "choose another metric"});
  return judge;
}

}  // namespace

std::vector<Rescored> rescore(const std::string& folder, const std::map<std::string, std::string>& metrics,
                              const Segmenter* segmenter) {
  const std::vector<Record> records = read_records(folder);
  const ExampleNotes notes = read_notes(folder);
  std::map<std::string, Judge> judges;
  std::vector<Rescored> out;
  std::map<std::string, std::size_t> places;  // task and point -> in `out`
  for (const Record& record : records) {
    if (!record.error.empty()) continue;
    auto judge = judges.find(record.task);
    if (judge == judges.end())
      judge = judges.emplace(record.task, judge_of(record.task, notes, metrics, segmenter, folder)).first;
    const std::string point = point_name(record);
    const auto [place, added] = places.try_emplace(record.task + '\n' + point, out.size());
    if (added) out.push_back({record.task, point, judge->second.metric});
    const auto references = notes.answers.find(record.task + "/" + record.example);
    const auto classes = notes.classes.find(record.task);
    const auto question = notes.questions.find(record.task + "/" + record.example);
    const double score =
        metric_named(judge->second.metric)
            .score(
                {.answer = judged_part(judge->second.part, record.answer),
                 .references =
                     references == notes.answers.end() ? std::span<const std::string>() : references->second,
                 .classes = classes == notes.classes.end() ? std::span<const std::string>() : classes->second,
                 .question = question == notes.questions.end() ? std::string_view() : question->second,
                 .segmenter = segmenter});
    Rescored& mine = out[place->second];
    mine.score += score;
    ++mine.records;
    const auto stored = record.scores.find(judge->second.metric);
    mine.changed += stored == record.scores.end() || stored->second != score;
  }
  for (Rescored& each : out) each.score *= 100.0 / static_cast<double>(each.records);
  return out;
}

}  // namespace evictbench
