// The experiment: run, plan, validate and report.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/device_errors.h"
#include "core/device_limits.h"
#include "harness/commands.h"
#include "harness/compute_modes.h"
#include "harness/flight.h"
#include "harness/journal.h"
#include "harness/memory.h"
#include "harness/prepared.h"
#include "harness/progress.h"
#include "harness/restart.h"
#include "harness/results.h"
#include "harness/signals.h"
#include "harness/warnings.h"

namespace evictbench {
namespace {

// XXH3 of every text of a task, so that a haystack that changed is another experiment.
std::string digest_of(const PlanTask& task) {
  std::string all;
  for (const Example& example : task.examples)
    for (const std::string* text : {&example.id, &example.context, &example.question, &example.answer_prefix})
      all += *text + '\0';
  return fmt::format("{:016x}", XXH3_64bits(all.data(), all.size()));
}

Manifest manifest_of(const Prepared& run) {
  Manifest manifest{{"evictbench", EVICTBENCH_VERSION}, {"record_schema", std::to_string(kRecordSchema)}};
  for (const auto& entry : identity(run.sweep)) manifest.push_back(entry);
  manifest.emplace_back("chat template", run.chat.name);
  for (const PlanTask& task : run.plan.tasks) manifest.emplace_back("data of " + task.id, digest_of(task));
  for (const auto& [file, digest] : run.digests()) manifest.emplace_back("model file " + file, digest);
  for (const CheckedScores& scores : run.scores)
    manifest.emplace_back(fmt::format("{} {}", scores.file.option, scores.file.hash), describe(scores));
  return manifest;
}

Record record_of(const Prepared& run, const PlanUnit& unit, const Point& point, const Answer& answer,
                 std::uint64_t prompt_hash, const std::string& compute) {
  const PlanTask& task = run.plan.tasks[unit.task];
  const Example& example = task.examples[unit.example];
  const Protocol& protocol = run.plan.protocols[unit.protocol];
  Record record;
  record.task = task.id;
  record.example = example.id;
  record.length = example.length;
  record.depth = example.depth;
  record.question = name_of(protocol.question);
  record.first_token = name_of(protocol.first_token);
  record.policy = point.policy->id();
  record.policy_name = policy_name(point);
  record.budget_unit = point.unit;
  record.budget = point.amount;
  record.compute = compute;
  record.point = point_id(point, protocol, compute);
  record.error = answer.error;
  if (answer.error.empty()) {
    record.answer_ids = answer.tokens;
    record.answer = run.checkpoint.tokenizer().decode(answer.tokens);
    record.scores = task.dataset->score(example, record.answer);
  }
  record.prompt_tokens = answer.prompt_tokens;
  record.asked = answer.asked;
  record.kept = answer.kept;
  record.full_entries = answer.full_entries;
  record.retained_bytes = answer.retained_bytes;
  record.kept_by_layer = answer.kept_by_layer;
  record.fidelity = answer.fidelity;
  record.prompt_hash = fmt::format("{:016x}", prompt_hash);
  return record;
}

// What is missing of a unit, in the order of the plan.
struct Missing {
  PlanUnit unit;
  std::vector<Point> points;
};

class Runner {
 public:
  Runner(const Prepared& run, Journal& journal, const Where& where)
      : run_(run), journal_(journal), where_(where), compute_(run.plan.compute) {}

  // -> whether every point of every example has an answer
  bool all() {
    const std::vector<PlanUnit> units = run_.plan.units();
    Progress progress(units.size());
    std::vector<Missing> missing;
    for (const PlanUnit& unit : units)
      if (std::vector<Point> points = missing_points(unit); points.empty())
        progress.skip();
      else
        missing.push_back({unit, std::move(points)});
    if (!missing.empty()) evaluate(missing, progress);
    return std::ranges::all_of(journal_.records(), [](const Record& r) { return r.error.empty(); });
  }

 private:
  std::vector<Point> missing_points(const PlanUnit& unit) const {
    const PlanTask& task = run_.plan.tasks[unit.task];
    const Protocol& protocol = run_.plan.protocols[unit.protocol];
    std::vector<Point> missing;
    for (const Point& point : run_.plan.points)
      if (!journal_.has({task.id, task.examples[unit.example].id, point_id(point, protocol, compute_)}))
        missing.push_back(point);
    return missing;
  }

  void evaluate(const std::vector<Missing>& missing, Progress& progress) {
    check_signals();
    const std::unique_ptr<Device> device = make_device(where_);
    spdlog::info("loading {}", run_.sweep.model.path);
    const std::unique_ptr<const Model> model = load_model(run_.checkpoint, where_, *device);
    batch_bytes_ = DecodeLimits::batch_bytes_on(*device);
    const Schedule schedule{.units = missing.size(),
                            .unit = [&](std::size_t i) { return unit_of(missing[i]); },
                            .done =
                                [&](std::size_t i, const Outcome& outcome) {
                                  store(missing[i], outcome);
                                  progress.step(label(missing[i].unit));
                                }};
    evaluate_in_flight(*device, *model, schedule, run_.plan.in_flight, check_signals);
    if (const auto* card = dynamic_cast<const DeviceLimits*>(device.get()))
      for (const std::string& note : card->notes()) spdlog::warn(note);
  }

  std::string label(const PlanUnit& unit) const {
    const PlanTask& task = run_.plan.tasks[unit.task];
    const Protocol& protocol = run_.plan.protocols[unit.protocol];
    return fmt::format("{} {}, question {}", task.id, task.examples[unit.example].id,
                       name_of(protocol.question));
  }

  Unit unit_of(const Missing& missing) const {
    const PlanUnit& unit = missing.unit;
    const Example& example = run_.plan.tasks[unit.task].examples[unit.example];
    Prompt prompt = run_.prompt_of(example);
    Continuation continuation = run_.continuation_of(example, prompt);
    DecodeLimits limits = run_.limits_of(example);
    limits.batch_bytes = batch_bytes_;
    return {std::move(prompt), missing.points, run_.plan.protocols[unit.protocol], std::move(limits),
            std::move(continuation)};
  }

  void store(const Missing& missing, const Outcome& outcome) {
    std::vector<Record> records;
    for (std::size_t p = 0; p < missing.points.size(); ++p)
      records.push_back(record_of(run_, missing.unit, missing.points[p], outcome.answers[p],
                                  outcome.prompt_hash, compute_));
    journal_.append(records);
    journal_.append_timing(timing_line(missing.unit, missing.points.size(), outcome.timing));
  }

  std::string timing_line(const PlanUnit& unit, std::size_t points, const Timing& t) const {
    const nlohmann::ordered_json line{{"task", run_.plan.tasks[unit.task].id},
                                      {"example", run_.plan.tasks[unit.task].examples[unit.example].id},
                                      {"question", name_of(run_.plan.protocols[unit.protocol].question)},
                                      {"points", points},
                                      {"prompt_tokens", t.prompt_tokens},
                                      {"prefill_s", t.prefill},
                                      {"select_s", t.select},
                                      {"gather_s", t.gather},
                                      {"decode_s", t.decode},
                                      {"fidelity_s", t.fidelity},
                                      {"decoded_tokens", t.decoded_tokens},
                                      {"steps", t.steps},
                                      {"peak_bytes", t.peak_bytes}};
    return line.dump();
  }

  const Prepared& run_;
  Journal& journal_;
  Where where_;
  std::string compute_;
  std::size_t batch_bytes_ = 0;
};

// What the page needs to know that records do not say.
ExampleNotes notes_of(const Prepared& run) {
  ExampleNotes notes;
  notes.warnings = warnings_of(run);
  notes.leaks = leaks_of(run.plan, run.scores);
  for (const PlanTask& task : run.plan.tasks) {
    notes.main_scores[task.id] = task.dataset->main_score();
    notes.judges[task.id] = task.dataset->judge();
    for (const Example& example : task.examples) {
      const std::string name = task.id + "/" + example.id;
      if (!example.answers.empty()) notes.references[name] = example.answers.front();
      notes.answers[name] = example.answers;
      if (!example.asked.empty()) notes.questions[name] = example.asked;
      if (!example.classes.empty()) notes.classes[task.id] = example.classes;
    }
  }
  return notes;
}

struct RunCommand {
  std::string sweep_file;
  std::vector<std::string> overrides;
  int threads = -1;
  bool repair = false, json = false, check_weights = false, ids = false;
  Shard shard{};

  int run() const {
    try {
      return attempt();
    } catch (const DeviceLost& lost) {
      restart(lost);
    }
  }

  int attempt() const {
    Prepared prepared(sweep_file, overrides);
    prepared.plan.shard = shard;
    const OutputFolder folder(prepared.sweep.output);
    const std::vector<RecordKey> keys = prepared.plan.keys();
    Manifest manifest = manifest_of(prepared);
    for (const auto& entry : shard_entries(shard, keys.size())) manifest.push_back(entry);
    Journal journal(folder, manifest, keys, repair ? Journal::Damage::kCut : Journal::Damage::kRefuse);
    for (const std::string& note : journal.notes()) spdlog::warn(note);
    if (!journal.records().empty() && journal.records().size() < keys.size())
      spdlog::info("resuming: {} of {} records are there", journal.records().size(), keys.size());
    const ExampleNotes notes = notes_of(prepared);
    for (const std::string& warning : notes.warnings) spdlog::warn(warning);
    write_notes(folder, notes);

    const Where where{prepared.sweep.model.device, prepared.sweep.model.compute,
                      threads >= 0 ? threads : prepared.sweep.model.threads.value_or(0),
                      prepared.sweep.model.allow_nonfinite};
    const bool whole = Runner(prepared, journal, where).all();
    write_results(folder, journal.records(), notes, manifest);
    if (!whole) spdlog::warn("some points failed; their records say why");
    return static_cast<int>(whole ? Exit::kGood : Exit::kFailedPoints);
  }

  int plan() const {
    const Prepared prepared(sweep_file, overrides);
    const SweepModel& model = prepared.sweep.model;
    const DType working = working_type(model.compute);
    const KvShape shape = prepared.checkpoint.shape(0, working);
    const MemoryForecast memory = forecast_memory(
        prepared.plan, prepared.checkpoint.config(),
        static_cast<std::int64_t>(prepared.checkpoint.packed_bytes(packed_type(model.compute))), working,
        prefill_rows_of(model.device));
    fmt::print("{}\n",
               json ? describe_json(prepared.plan, shape, memory) : describe(prepared.plan, shape, memory));
    for (const std::string& warning : warnings_of(prepared)) spdlog::warn(warning);
    return 0;
  }

  int examples() const {
    const Prepared prepared(sweep_file, overrides);
    for (const PlanTask& task : prepared.plan.tasks)
      for (const Example& e : task.examples) {
        nlohmann::ordered_json line{{"task", task.id},
                                    {"example", e.id},
                                    {"length", e.length},
                                    {"depth", e.depth},
                                    {"context", e.context},
                                    {"question", e.question},
                                    {"answer_prefix", e.answer_prefix},
                                    {"answers", e.answers}};
        if (ids) {
          const Prompt prompt = prepared.prompt_of(e);
          line["context_ids"] = prompt.context;
          line["question_ids"] = prompt.question;
        }
        fmt::print("{}\n", line.dump());
      }
    return 0;
  }

  int validate() const {
    if (sweep_file.empty())
      reject(Exit::kUsage, {"E-CL-02", "evictbench validate", "", "no sweep file",
                            "a sweep file, or data and a folder", "see evictbench validate --help"});
    const Prepared prepared(sweep_file, overrides);
    if (check_weights) prepared.checkpoint.check_weights();
    fmt::print("{}: good; {} records to make\n", sweep_file, prepared.plan.cells());
    for (const std::string& note : prepared.checkpoint.notes()) spdlog::info(note);
    for (const std::string& warning : warnings_of(prepared)) spdlog::warn(warning);
    return 0;
  }
};

CLI::App* sweep_command(CLI::App& app, const std::string& name, const std::string& what,
                        const std::shared_ptr<RunCommand>& command, Action& action,
                        int (RunCommand::*call)() const) {
  CLI::App* sub = app.add_subcommand(name, what);
  sub->add_option("sweep", command->sweep_file, "a sweep file (YAML)")->required();
  sub->add_option("--set", command->overrides, "override a key: --set model.device=cpu")
      ->allow_extra_args(false);
  for (const auto& [option, key] :
       {std::pair{"--device", "model.device"}, {"--compute", "model.compute"}, {"--seed", "protocol.seed"}})
    sub->add_option_function<std::string>(
        option,
        [command, key = std::string(key)](const std::string& value) {
          command->overrides.push_back(key + "=" + value);
        },
        fmt::format("the same as --set {}=..", key));
  sub->callback([=, &action] {
    if (sub->get_subcommands().empty()) action = [=] { return (command.get()->*call)(); };
  });
  return sub;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("evictbench"));
  spdlog::set_pattern("%^%l%$: %v");
  auto command = std::make_shared<RunCommand>();
  CLI::App* run = sweep_command(app, "run", "run a sweep; the same command again resumes it", command, action,
                                &RunCommand::run);
  run->add_option("--threads", command->threads, "0: all cores")->check(CLI::Range(0, 1024));
  run->add_option_function<std::string>(
      "--shard", [command](const std::string& text) { command->shard = parse_shard(text); },
      "part i of n of the examples, i/n; `merge` puts the parts together");
  run->add_flag("--repair", command->repair, "cut a damaged journal before its first bad record");
  CLI::App* plan = sweep_command(app, "plan", "print every point with its share and bytes; loads no weights",
                                 command, action, &RunCommand::plan);
  plan->add_flag("--json", command->json, "as JSON");
  for (CLI::App* sub : {run, plan})
    sub->add_option_function<int>(
           "--in-flight",
           [command](int n) { command->overrides.push_back(fmt::format("model.in_flight={}", n)); },
           "examples that decode together; the same as --set model.in_flight=..")
        ->check(CLI::Range(1, kMostInFlight));
  CLI::App* examples =
      sweep_command(app, "examples", "print the examples of a sweep's tasks, one JSON object a line", command,
                    action, &RunCommand::examples);
  examples->add_flag("--ids", command->ids, "with the token ids of context and question");
  CLI::App* validate = sweep_command(app, "validate", "check a sweep, its model and its data", command,
                                     action, &RunCommand::validate);
  validate->add_flag("--check-weights", command->check_weights,
                     "read all weights too: none may be NaN or infinite, as when they are loaded");
  validate->get_option("sweep")->required(false);
  add_validate_data(*validate, action);

  auto parts = std::make_shared<std::vector<std::string>>();
  auto into = std::make_shared<std::string>();
  CLI::App* merge = app.add_subcommand("merge", "put the results of all shards of a run together");
  merge->add_option("dirs", *parts, "results folders of `run --shard`")->required();
  merge->add_option("--into", *into, "the folder of the whole")->required();
  merge->callback([=, &action] { action = [=] { return merge_shards(*parts, *into); }; });

  auto folder = std::make_shared<std::string>();
  CLI::App* report = app.add_subcommand("report", "make tables and the page again from a results folder");
  report->add_option("dir", *folder, "a results folder")->required();
  report->callback([=, &action] { action = [=] { return rebuild_results(*folder); }; });
}

}  // namespace evictbench
