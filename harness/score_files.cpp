#include "harness/score_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/io/json.h"

namespace evictbench {
namespace {

[[noreturn]] void refuse(const ScoreFile& file, const char* code, const std::string& found,
                         const std::string& expected, const std::string& mend) {
  reject(Exit::kInput, {code, file.path, "", found, expected, mend});
}

bool fits(const std::string& option, ScoreKind kind) {
  return (option == "layer_scores") == (kind == ScoreKind::kLayerError);
}

std::string facts_text(const Sidecar::Facts& facts) {
  std::string text;
  for (const auto& [name, value] : facts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
  return text;
}

// Names of datasets in a published file of layer scores that a task bears, or one of its options.
std::vector<std::string> shared_names(const ScoreFile& file, std::span<const SweepTask> tasks) {
  std::set<std::string> ours;
  for (const SweepTask& task : tasks) {
    ours.insert(task.id);
    for (const auto& [key, option] : task.options.options)
      for (const auto& scalar : option.values) ours.insert(scalar.text);
  }
  std::vector<std::string> shared;
  for (const auto& [name, list] : Json::from_file(file.path, {.code_prefix = "E-HS"}).items())
    if (list.is_array() && ours.contains(name)) shared.push_back(printable(name));
  return shared;
}

}  // namespace

CheckedScores check_scores(const ScoreFile& file, const std::function<ModelMark()>& model, bool allow_other) {
  CheckedScores out{file, read_sidecar(file.path), false};
  if (!out.sidecar) return out;
  const Sidecar& s = *out.sidecar;
  if (s.scores != file.hash)
    refuse(file, "E-SD-10", file.hash, fmt::format("{}, as {} says", s.scores, sidecar_path(file.path)),
           "one of the two was changed or moved: measure the scores again, or remove the sidecar to use them "
           "as published ones");
  if (!fits(file.option, s.kind))
    refuse(file, "E-SD-12", fmt::format("scores of the kind {} for {}", name_of(s.kind), file.option),
           file.option == "layer_scores" ? name_of(ScoreKind::kLayerError) : "scores of heads",
           "name the other file");
  const ModelMark mine = model();
  out.other_model = mine.hash != s.model.hash;
  if (out.other_model && !allow_other)
    refuse(file, "E-SD-11", fmt::format("scores of the model {} ({})", printable(s.model.name), s.model.hash),
           fmt::format("scores of {} ({})", printable(mine.name), mine.hash),
           "measure this model, or allow it: model.allow_other_scores: true in a sweep, --allow-other-scores "
           "elsewhere");
  return out;
}

std::vector<CheckedScores> check_scores(std::span<const Point> points,
                                        const std::function<ModelMark()>& model, bool allow_other) {
  std::vector<CheckedScores> all;
  for (const Point& point : points)
    for (const ScoreFile& file : point.score_files) {
      const auto same = [&](const CheckedScores& c) { return c.file == file; };
      if (std::ranges::none_of(all, same)) all.push_back(check_scores(file, model, allow_other));
    }
  return all;
}

std::string describe(const CheckedScores& scores) {
  if (!scores.sidecar) return "no sidecar: a published file; what it was measured on is not known";
  const Sidecar& s = *scores.sidecar;
  return fmt::format(
      "{}, of {} model {}, {} of {} trials, {} examples, by evictbench {}; method: {}; data: {}",
      name_of(s.kind), scores.other_model ? "ANOTHER" : "this", s.model.name, s.accepted, s.made,
      s.examples.size(), s.program, facts_text(s.method), facts_text(s.data));
}

std::vector<std::string> warnings_of(const CheckedScores& scores, std::span<const SweepTask> tasks) {
  const std::string name = fmt::format("{} {}", scores.file.option, scores.file.hash);
  if (scores.sidecar && !scores.other_model) return {};
  if (scores.sidecar)
    return {fmt::format("{} was measured on another model, {}", name, printable(scores.sidecar->model.name))};
  std::vector<std::string> warnings{
      name + " has no sidecar: whether it was measured on what is scored is not known"};
  if (const auto shared = shared_names(scores.file, tasks); !shared.empty())
    warnings.push_back(
        fmt::format("{} names {}, which is scored: leakage, if it was measured on the test split as "
                    "CompressKV's published scores are",
                    name, fmt::join(shared, ", ")));
  return warnings;
}

std::vector<Leak> leaks_of(const Plan& plan, std::span<const CheckedScores> scores) {
  std::map<std::string, std::set<std::string>> seen;  // policy -> hashes of examples
  for (const Point& point : plan.points)
    for (const CheckedScores& checked : scores)
      if (checked.sidecar && std::ranges::count(point.score_files, checked.file))
        seen[point.policy->id()].insert(checked.sidecar->examples.begin(), checked.sidecar->examples.end());
  std::vector<Leak> leaks;
  for (const auto& [policy, hashes] : seen)
    for (const PlanTask& task : plan.tasks) {
      const auto shared = std::ranges::count_if(
          task.examples, [&](const Example& example) { return hashes.contains(example_hash(example)); });
      if (shared > 0) leaks.push_back({policy, task.id, static_cast<std::size_t>(shared)});
    }
  return leaks;
}

}  // namespace evictbench
