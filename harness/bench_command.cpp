// bench: what each policy costs alone and all points together, of a checkpoint or of a shape with random weights.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "core/device_limits.h"
#include "harness/bench_report.h"
#include "harness/commands.h"
#include "harness/compute_modes.h"
#include "harness/free_memory.h"
#include "harness/progress.h"
#include "harness/score_files.h"
#include "harness/signals.h"
#include "harness/sweep.h"
#include "models/random_weights.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

constexpr int kMostTokens = 1 << 24, kMostPointsTogether = 4096;
constexpr const char* kUsualPolicies[] = {"full", "snapkv", "pyramidkv", "adakv", "headkv", "compresskv"};

[[noreturn]] void usage(const std::string& option, const std::string& found, const std::string& expected,
                        const std::string& mend) {
  reject(Exit::kUsage, {"E-BN-01", "command line", option, found, expected, mend});
}

// A checkpoint or a random model, before any weight is there.
struct Subject {
  std::string path, source;
  DecoderConfig config;
  std::uint64_t parameters = 0, packed_bytes = 0;
  std::function<std::unique_ptr<const Model>(Device&)> load;
  std::function<ModelMark()> mark;  // empty: its weights are of no model, and so is no score file
};

Subject subject_of(std::shared_ptr<const Checkpoint> checkpoint, const Where& where) {
  return {checkpoint->path(),
          "checkpoint",
          checkpoint->config(),
          checkpoint->parameters(),
          checkpoint->packed_bytes(packed_type(where.compute)),
          [=](Device& device) { return load_model(*checkpoint, where, device); },
          [=] { return mark_of(*checkpoint, checkpoint->digests()); }};
}

Subject subject_of(std::shared_ptr<const RandomModel> random, const Where& where) {
  return {random->path(),
          "random",
          random->config(),
          random->parameters(),
          random->packed_bytes(packed_type(where.compute)),
          [=](Device& device) {
            return where.device == "reference" ? random->load_reference() : random->load(device);
          },
          {}};
}

// The first file that a policy cannot do without, or "".
std::string missing_file(const std::string& policy) {
  const Options plain(policy);
  for (const PolicyEntry& entry : all_policies())
    if (entry.name == policy) entry.make(plain);
  for (const auto& [key, asked] : plain.asked())
    if (!asked.missing.empty()) return key;
  return "";
}

// Those that need no file; the others go to `left_out`, with what they need.
std::vector<std::string> usual_policies(std::vector<std::pair<std::string, std::string>>& left_out) {
  std::vector<std::string> names;
  for (const char* usual : kUsualPolicies) {
    const std::string file = missing_file(usual);
    if (file.empty())
      names.emplace_back(usual);
    else
      left_out.emplace_back(usual,
                            fmt::format("needs a file of {0}: --policy '{1}{{{0}=FILE}}'", file, usual));
  }
  return names;
}

// In quotes of YAML, for --set.
std::string quoted_yaml(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

struct BenchCommand {
  std::string sweep_file, random_config, model_path;
  std::vector<std::string> overrides, policies;
  std::vector<double> budgets{256, 1024};
  std::vector<int> tokens{2048};
  int together = 0, max_new = 32, repeat = 3, batch_gb = 0;
  std::int64_t seed = 42;
  bool json = false, allow_other_scores = false;
  Where where;
  CLI::App* app = nullptr;

  bool given(const char* option) const { return app->get_option(option)->count() > 0; }

  int run() {
    BenchReport report;
    if (sweep_file.empty())
      take_options(report);
    else
      take_sweep(report);
    const Subject subject = find_subject(report.input.seed);
    describe(subject, report);
    check(subject, report);
    const std::unique_ptr<Device> device = make_device(where);
    auto* limits = dynamic_cast<DeviceLimits*>(device.get());
    check_memory(subject, report.input, limits ? std::optional(limits->free_bytes()) : free_memory());
    const auto start = std::chrono::steady_clock::now();
    const std::unique_ptr<const Model> model = subject.load(*device);
    if (batch_gb <= 0) report.input.batch_bytes = DecodeLimits::batch_bytes_on(*device);
    report.load = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (limits) report.matrix_flops = limits->matrix_flops();
    if (limits) report.copy_bytes = limits->copy_bytes();
    return measure(*device, *model, report);
  }

 private:
  void take_options(BenchReport& report) {
    if (random_config.empty() && model_path.empty())
      usage("", "nothing to bench", "a sweep file, --model MODEL or --random-weights CONFIG",
            "such as --random-weights harness/shapes/125m.json");
    if (given("--set"))
      usage("--set", "a key of a sweep file, and there is none", "a sweep file", "name one");
    for (const double budget : budgets)
      if (!(budget >= 1))  // a NaN is in any range of CLI11
        usage("--budgets", fmt::format("{}", budget), "entries from 1 on", "correct it");
    const std::vector<std::string> names = policies.empty() ? usual_policies(report.left_out) : policies;
    for (const std::string& name : names) {
      PolicyInput one;
      one.name = name;
      one.seed = seed;
      one.budget = budgets.front();
      Point point = one.point();
      for (const double budget : budgets) {
        point.amount = point.policy->evicts() ? budget : 0;
        report.input.points.push_back(point);
        if (!point.policy->evicts()) break;
      }
    }
    report.input.seed = static_cast<std::uint64_t>(seed);
  }

  void take_sweep(BenchReport& report) {
    namespace fs = std::filesystem;
    if (const std::string& other = random_config.empty() ? model_path : random_config; !other.empty())
      overrides.push_back("model.path=" + quoted_yaml(fs::absolute(other).string()));
    if (given("--device")) overrides.push_back("model.device=" + where.device);
    if (given("--compute")) overrides.push_back("model.compute=" + where.compute);
    if (given("--seed")) overrides.push_back(fmt::format("protocol.seed={}", seed));
    const Sweep sweep = load_sweep(sweep_file, overrides);
    if (random_config.empty()) model_path = sweep.model.path;
    where.device = sweep.model.device;
    where.compute = sweep.model.compute;
    if (!given("--threads")) where.threads = sweep.model.threads.value_or(0);
    where.allow_nonfinite |= sweep.model.allow_nonfinite;
    allow_other_scores |= sweep.model.allow_other_scores;
    report.input.points = sweep.points;
    report.input.seed = sweep.seed;
  }

  Subject find_subject(std::uint64_t drawn_from) const {
    if (random_config.empty()) return subject_of(std::make_shared<const Checkpoint>(model_path), where);
    return subject_of(std::make_shared<const RandomModel>(random_config, drawn_from), where);
  }

  void describe(const Subject& subject, BenchReport& report) const {
    report.model = subject.path;
    report.source = subject.source;
    report.config = subject.config;
    report.parameters = subject.parameters;
    report.packed_bytes = subject.packed_bytes;
    report.device = where.device;
    report.compute = where.compute;
    report.threads = where.threads;
    BenchInput& input = report.input;
    input.together = together > 0 ? together : static_cast<int>(input.points.size());
    input.max_new = max_new;
    input.repeat = repeat;
    input.working = working_type(where.compute);
    input.prefill_rows = prefill_rows_of(where.device);
    if (batch_gb > 0) input.batch_bytes = static_cast<std::size_t>(batch_gb) * 1'000'000'000;
  }

  // What can be known to be wrong before a weight is read.
  void check(const Subject& subject, const BenchReport& report) const {
    const DecoderConfig& c = subject.config;
    for (const int length : tokens)
      if (length + std::int64_t{max_new} > c.context())
        usage("--tokens", fmt::format("{} tokens and {} new ones", length, max_new),
              fmt::format("at most the {} of {}", c.context(), subject.path),
              "take shorter prompts or a smaller --max-new");
    needs_of(report.input.points, {c.layers, c.q_heads, c.kv_heads, c.head_dim, 1});
    if (subject.mark) check_scores(report.input.points, subject.mark, allow_other_scores);
  }

  void check_memory(const Subject& subject, const BenchInput& input, std::optional<std::int64_t> free) const {
    if (!free) return;
    constexpr std::uint64_t kDouble = sizeof(double);
    const std::uint64_t weights =
        where.device == "reference" ? subject.parameters * kDouble : subject.packed_bytes;
    for (const int length : tokens)
      check_bench_memory(input, subject.path, subject.config, static_cast<std::int64_t>(weights), length,
                         *free);
  }

  int measure(Device& device, const Model& model, BenchReport& report) const {
    if (!json) fmt::print("{}", bench_head(report));
    std::fflush(stdout);
    const auto runs = [&] {  // of a prompt: the full cache, the batch, each point that evicts
      std::size_t count = 2;
      for (const Point& point : report.input.points) count += point.policy->evicts() ? 1 : 0;
      return count;
    }();
    Progress progress(tokens.size() * runs * static_cast<std::size_t>(repeat), "runs");
    warm_up(device, model, report.input, std::ranges::min(tokens));
    for (const int length : tokens) {
      report.prompts.push_back(bench_prompt(
          device, model, report.input, length,
          [&] { progress.step(fmt::format("prompt of {} tokens", length)); }, check_signals_unstored));
      if (!json) fmt::print("{}", bench_table(report, report.prompts.back()));
      std::fflush(stdout);
    }
    if (json) std::puts(bench_json(report).c_str());
    return static_cast<int>(report.failed() ? Exit::kFailedPoints : Exit::kGood);
  }
};

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto command = std::make_shared<BenchCommand>();
  CLI::App* sub = app.add_subcommand("bench", "what each policy costs alone, and all points together");
  command->app = sub;
  CLI::Option* sweep =
      sub->add_option("sweep", command->sweep_file, "a sweep file: its model, policies and budgets");
  sub->add_option("--set", command->overrides, "override a key of it: --set model.device=cpu")
      ->allow_extra_args(false);
  CLI::Option* random = sub->add_option("--random-weights", command->random_config,
                                        "a config.json: its shape, with weights that are drawn");
  sub->add_option("--model", command->model_path, "a Hugging Face folder or a .gguf file")->excludes(random);
  sub->add_option("--policy", command->policies,
                  "NAME or 'NAME{key=value,..}', any number of times; some usual ones if absent")
      ->allow_extra_args(false)
      ->excludes(sweep);
  sub->add_option("--budgets", command->budgets, "mean entries per lane, such as 256,2048")
      ->delimiter(',')
      ->check(CLI::Range(1.0, 2147483647.0))
      ->excludes(sweep);
  sub->add_option("--tokens", command->tokens, "prompt lengths, such as 2048,8192")
      ->delimiter(',')
      ->check(CLI::Range(2, kMostTokens))
      ->capture_default_str();
  sub->add_option("--max-new", command->max_new, "tokens of every answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  sub->add_option("--points", command->together, "points that run together, in turn; each once if absent")
      ->check(CLI::Range(1, kMostPointsTogether));
  sub->add_option("--repeat", command->repeat, "runs of each")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  sub->add_option("--batch-gb", command->batch_gb,
                  "caches of points that decode together, at most; 6.4 in `run`, and if absent")
      ->check(CLI::Range(1, 1 << 20));
  sub->add_option("--seed", command->seed, "of prompts, of random weights and of policies that draw")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  sub->add_flag("--allow-other-scores", command->allow_other_scores,
                "use score files that were measured on another model all the same");
  sub->add_flag("--json", command->json, "one JSON object");
  command->where.declare(*sub);
  sub->callback([command, &action] { action = [command] { return command->run(); }; });
}

}  // namespace evictbench
