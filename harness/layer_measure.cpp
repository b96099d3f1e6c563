#include "harness/layer_measure.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "core/io/json.h"
#include "harness/layer_errors.h"
#include "harness/layer_files.h"
#include "harness/line_journal.h"
#include "harness/output_folder.h"
#include "harness/prepared.h"
#include "harness/progress.h"
#include "harness/signals.h"
#include "policies/registry.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

constexpr const char* kRestart = "remove the file to measure all examples anew";

struct Measured {
  const PlanTask* task = nullptr;
  const Example* example = nullptr;
  LayerErrors errors;
};

void add_ids(JsonText& out, const char* name, const Tokens& ids) {
  out.key(name).open('[');
  for (const std::int32_t id : ids) out.integer(id);
  out.close();
}

void add_errors(JsonText& out, const LayerErrors& errors) {
  add_ids(out, "answer", errors.answer);
  out.key("steps").integer(errors.steps).key("errors").open('[');
  for (const double sum : errors.sums) out.number(sum);
  out.close();
}

std::string line_of(const Measured& measured) {
  JsonText out;
  out.open('{').key("task").text(measured.task->id).key("example").text(measured.example->id);
  add_errors(out, measured.errors);
  return out.close().str();
}

LayerErrors errors_in(const Json& line, const Measured& expected, int layers) {
  LayerErrors out;
  if (line.at("task").string() != expected.task->id || line.at("example").string() != expected.example->id)
    line.reject("05", fmt::format("example {}", printable(line.at("example").string())),
                fmt::format("example {}", printable(expected.example->id)), kRestart);
  const Json answer = line.at("answer"), sums = line.at("errors");
  for (std::size_t i = 0; i < answer.size(); ++i)
    out.answer.push_back(static_cast<std::int32_t>(answer[i].integer(0, INT32_MAX)));
  out.steps = static_cast<int>(line.at("steps").integer(0, INT32_MAX));
  for (std::size_t i = 0; i < sums.size(); ++i) out.sums.push_back(sums[i].number(0, 1e300));
  if (std::ssize(out.sums) != layers)
    sums.reject("05", fmt::format("errors of {} layers", out.sums.size()), fmt::format("{}", layers),
                kRestart);
  return out;
}

std::vector<Measured> planned(const Prepared& run) {
  std::vector<Measured> all;
  for (const PlanTask& task : run.plan.tasks)
    for (const Example& example : task.examples) all.push_back({&task, &example, {}});
  return all;
}

Tokens prompt_of(const Prepared& run, const Measured& measured) {
  Prompt prompt = run.prompt_of(*measured.example);
  prompt.context.insert(prompt.context.end(), prompt.question.begin(), prompt.question.end());
  return prompt.context;
}

// Takes the errors of the first examples from the journal -> how many.
std::size_t take_back(const LineJournal& journal, int layers, std::vector<Measured>& all) {
  std::size_t count = 0;
  for (const std::string& text : journal.lines()) {
    const Json line =
        Json::from_text(text, journal.path(),
                        {.exit = Exit::kOutput, .code_prefix = "E-LY", .depth = 4, .first_line = count + 2});
    if (count == all.size())
      line.reject("05", "an example beyond the last", fmt::format("{} examples", all.size()), kRestart);
    all[count].errors = errors_in(line, all[count], layers);
    ++count;
  }
  if (count > 0) spdlog::info("resuming: {} of {} examples are there", count, all.size());
  return count;
}

void measure(const Prepared& run, const Where& where, LineJournal& journal, std::vector<Measured>& all) {
  std::size_t next = take_back(journal, run.checkpoint.config().layers, all);
  if (next == all.size()) return;
  const auto device = make_device(where);
  spdlog::info("loading {}", run.checkpoint.path());
  const auto model = load_model(run.checkpoint, where, *device);
  Progress progress(all.size());
  for (std::size_t i = 0; i < next; ++i) progress.skip();
  for (; next < all.size(); ++next) {
    check_signals();
    Measured& one = all[next];
    one.errors = layer_errors(*device, *model, prompt_of(run, one), *run.plan.points[0].policy,
                              run.limits_of(*one.example), check_signals);
    journal.append(line_of(one));
    progress.step(fmt::format("{} {}", one.task->id, one.example->id));
  }
}

std::string dump_text(const Prepared& run, const std::vector<Measured>& all) {
  std::string text;
  for (const Measured& one : all) {
    JsonText out;
    out.open('{').key("task").text(one.task->id).key("example").text(one.example->id);
    add_ids(out, "prompt", prompt_of(run, one));
    out.key("max_new").integer(one.example->max_new);
    add_errors(out, one.errors);
    text += out.close().str() + "\n";
  }
  return text;
}

// Sums over the examples of each task, scaled to sum to 1.
DatasetScores scores_of(const Plan& plan, const std::vector<Measured>& all, int layers) {
  DatasetScores out;
  for (const PlanTask& task : plan.tasks) {
    std::vector<double> sums(static_cast<std::size_t>(layers));
    for (const Measured& one : all)
      for (std::size_t l = 0; one.task == &task && l < sums.size(); ++l) sums[l] += one.errors.sums[l];
    const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
    if (!(sum > 0))
      reject(Exit::kFailedPoints,
             {"E-LY-03", task.id, "", "no layer has an error",
              fmt::format("prompts of more than {} tokens and answers of two or more", kErrorBudget),
              "give this task longer prompts or a larger max_new, or leave it out"});
    for (double& score : sums) score /= sum;
    out.emplace_back(task.id, std::move(sums));
  }
  return out;
}

Sweep resolved(const LayerMeasurement& how) {
  Sweep sweep = how.tasks.empty()
                    ? load_tasks_text(kLayerTasks, "the default tasks", how.overrides, how.model)
                    : load_tasks(how.tasks, how.overrides, how.model);
  for (const SweepTask& task : sweep.tasks)
    if (task.id == "avg_score")
      reject(Exit::kSweep, {"E-LY-04", sweep.file, task.options.position, "a task called avg_score",
                            "another name: it is that of the average", "give it an id"});
  Options options("compresskv", {{"head_scores", how.head_scores}, {"heads", fmt::format("{}", how.heads)}});
  Point point{.name = "compresskv", .policy = make_policy(options), .amount = kErrorBudget};
  point.score_files = options.score_files();
  sweep.points = {std::move(point)};
  return sweep;
}

Sidecar sidecar_of(const Prepared& run, const LayerMeasurement& how, const std::vector<Measured>& all) {
  Sidecar out{.kind = ScoreKind::kLayerError,
              .model = mark_of(run.checkpoint, run.digests()),
              .method = {{"policy", run.plan.points[0].policy->id()},
                         {"budget", fmt::format("{} entries a lane", kErrorBudget)},
                         {"device", how.where.device},
                         {"compute", how.where.compute},
                         {"chat template", run.chat.name}},
              .data = data_facts(run.sweep),
              .examples = {}};
  for (const Measured& one : all) {
    out.examples.push_back(example_hash(*one.example));
    ++out.made;
    out.accepted += one.errors.steps > 0;
  }
  return out;
}

// All that can change an error.
std::string identity_of(const Sidecar& sidecar) {
  std::string text = fmt::format("model {}", sidecar.model.hash);
  for (const auto* facts : {&sidecar.method, &sidecar.data})
    for (const auto& [name, value] : *facts) text += fmt::format(", {} {}", name, value);
  std::string examples;
  for (const std::string& example : sidecar.examples) examples += example;
  return fmt::format("{}, examples {}, evictbench {}", text, score_hash(examples), EVICTBENCH_VERSION);
}

void show(const DatasetScores& datasets, const std::string& text, bool json) {
  if (json) {
    fmt::print("{}", text);
    return;
  }
  const std::vector<double> average = average_of(datasets);
  fmt::print("share of the error of each layer, average of {} datasets\n", datasets.size());
  for (std::size_t l = 0; l < average.size(); ++l)
    fmt::print(
        "layer {:>3}  {:.4f}  {}\n", l, average[l],
        std::string(static_cast<std::size_t>(average[l] / *std::ranges::max_element(average) * 40), '#'));
}

}  // namespace

int LayerMeasurement::run() const {
  const Prepared run(resolved(*this));
  std::vector<Measured> all = planned(run);
  const std::string partial = out + ".part.jsonl";
  LineJournal journal(partial, identity_of(sidecar_of(run, *this, all)), "E-LY",
                      "choose another --out, or remove the file");
  measure(run, where, journal, all);
  if (!dump.empty()) write_file(dump, dump_text(run, all));
  const DatasetScores datasets = scores_of(run.plan, all, run.checkpoint.config().layers);
  const std::string text = layer_scores_text(datasets);
  write_scores(out, text, sidecar_of(run, *this, all));
  std::filesystem::remove(partial);
  show(datasets, text, json);
  return static_cast<int>(Exit::kGood);
}

}  // namespace evictbench
