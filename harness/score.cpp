// score DIR: stored answers scored again, without a model.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/io/file.h"
#include "datasets/longbench_predictions.h"
#include "datasets/segmenter.h"
#include "harness/commands.h"
#include "harness/rescore.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

[[noreturn]] void usage(const std::string& option, const std::string& found, const std::string& expected,
                        const std::string& mend) {
  reject(Exit::kUsage, {"E-CL-01", "command line", option, found, expected, mend});
}

struct ScoreCommand {
  std::string folder, format, jieba;
  std::vector<std::string> tasks, metrics;
  bool json = false;

  int operator()() const {
    const std::string words = jieba.empty() ? usual_segmenter_folder() : jieba;
    const auto segmenter = words.empty() ? nullptr : Segmenter::from_folder(words);
    const bool own = format == "evictbench" || (format.empty() && is_file(folder + "/records.jsonl"));
    return own ? score_records(segmenter.get()) : score_longbench(segmenter.get());
  }

 private:
  int score_records(const Segmenter* segmenter) const {
    const std::map<std::string, std::string> other_metrics = chosen_metrics();
    std::vector<Rescored> all = rescore(folder, other_metrics, segmenter);
    for (const auto& [task, metric] : other_metrics)
      if (std::ranges::find(all, task, &Rescored::task) == all.end()) no_task(task);
    for (const std::string& name : tasks)
      if (std::ranges::find(all, name, &Rescored::task) == all.end())
        usage("--tasks", fmt::format("\"{}\", which has no answers in {}", printable(name), folder),
              "tasks of its records", "correct the name");
    std::erase_if(all, [&](const Rescored& each) {
      return !tasks.empty() && std::ranges::find(tasks, each.task) == tasks.end();
    });
    Out out = Out::object();
    std::size_t changed = 0;
    for (const Rescored& each : all) {
      changed += each.changed;
      out[each.task][each.point] = rounded(each.score);
      if (!json)
        fmt::print("{}, {}, {} answers, {}: {:.2f}\n", each.task, each.point, each.records, each.metric,
                   each.score);
    }
    if (json) fmt::print("{}\n", out.dump());
    if (changed > 0) spdlog::warn("{} scores are not those of the records", changed);
    return 0;
  }

  int score_longbench(const Segmenter* segmenter) const {
    const LongBench which = format == "longbench-e" ? LongBench::kByLength : LongBench::kWhole;
    const std::map<std::string, std::string> other_metrics = chosen_metrics();
    for (const auto& [task, metric] : other_metrics)
      if (longbench_task(task) == nullptr) no_task(task);
    std::vector<PredictionScores> all;
    std::vector<std::string> left_out;
    for (const LongBenchTask* task : chosen_tasks(which)) {
      if (!segmenter && needs_segmenter(*task)) {
        left_out.emplace_back(task->name);
        continue;
      }
      const auto other = other_metrics.find(std::string(task->name));
      all.push_back(score_predictions(fmt::format("{}/{}.jsonl", folder, task->name), *task, which, segmenter,
                                      other == other_metrics.end() ? "" : other->second));
      for (const std::string& warning : all.back().warnings) spdlog::warn(warning);
    }
    if (!left_out.empty()) leave_out(left_out);
    if (json)
      fmt::print("{}\n", as_json(all, which).dump());
    else
      show(all, which);
    return 0;
  }

  [[noreturn]] void no_task(const std::string& task) const {
    usage("--metric", fmt::format("\"{}\", which is no task of {}", printable(task), folder),
          "a task that is scored", "correct the name");
  }

  std::vector<const LongBenchTask*> chosen_tasks(LongBench which) const {
    std::vector<std::string> strangers;
    std::vector<const LongBenchTask*> out = predicted_tasks(folder, strangers);
    if (!strangers.empty())
      spdlog::warn("{}: not files of LongBench tasks, left alone: {}", folder, fmt::join(strangers, ", "));
    for (const std::string& name : tasks)
      if (std::ranges::find(out, name, &LongBenchTask::name) == out.end())
        usage("--tasks", fmt::format("\"{}\", of which {} has no file", printable(name), folder),
              "tasks whose files are there", "correct the name, or name another folder");
    std::erase_if(out, [&](const LongBenchTask* task) {
      const bool wanted = tasks.empty() || std::ranges::find(tasks, task->name) != tasks.end();
      const bool known = which == LongBench::kWhole || task->e_records > 0;
      if (wanted && !known) spdlog::warn("{} is no task of LongBench-E and is left out", task->name);
      return !wanted || !known;
    });
    return out;
  }

  std::map<std::string, std::string> chosen_metrics() const {
    std::map<std::string, std::string> out;
    for (const std::string& pair : metrics) {
      const std::size_t equals = pair.find('=');
      const std::string task = pair.substr(0, equals),
                        name = equals == pair.npos ? "" : pair.substr(equals + 1);
      if (std::ranges::find(all_metrics(), name, &Metric::name) == all_metrics().end())
        usage("--metric", fmt::format("\"{}\"", printable(pair)),
              "TASK=METRIC, such as lcc=code_sim_levenshtein", "see evictbench list metrics");
      out[task] = name;
    }
    return out;
  }

  void leave_out(const std::vector<std::string>& names) const {
    if (!tasks.empty())
      usage("--tasks", fmt::format("{}, whose answers are scored by Chinese words", fmt::join(names, ", ")),
            "a dictionary to cut them with", "add --jieba DIR: " + how_to_get_a_segmenter());
    spdlog::warn("left out, for want of a dictionary of Chinese words: {}; {} with --jieba",
                 fmt::join(names, ", "), how_to_get_a_segmenter());
  }

  static Out as_json(const std::vector<PredictionScores>& all, LongBench which) {
    Out out = Out::object();
    for (const PredictionScores& scores : all) {
      const std::string name(scores.task->name);
      if (which == LongBench::kWhole) {
        out[name] = rounded(scores.score);
        continue;
      }
      for (std::size_t b = 0; b < kLengthBuckets.size(); ++b) {
        Out& place = out[name][std::string(kLengthBuckets[b])];
        if (scores.by_length[b]) place = rounded(*scores.by_length[b]);
      }
    }
    return out;
  }

  static void show(const std::vector<PredictionScores>& all, LongBench which) {
    const auto shown = [](std::optional<double> percent) {
      return percent ? fmt::format("{:.2f}", *percent) : "-";
    };
    fmt::print("{:<22} {:<16} {:>7}", "task", "metric", "records");
    if (which == LongBench::kWhole)
      fmt::print(" {:>7}\n", "score");
    else
      fmt::print(" {:>7}\n", fmt::join(kLengthBuckets, "   "));
    for (const PredictionScores& scores : all) {
      fmt::print("{:<22} {:<16} {:>7}", scores.task->name, scores.metric, scores.records);
      if (which == LongBench::kWhole)
        fmt::print(" {:>7}", shown(scores.score));
      else
        for (const auto& bucket : scores.by_length) fmt::print(" {:>7}", shown(bucket));
      fmt::print("\n");
    }
    if (which == LongBench::kWhole) show_average(all);
  }

  // As papers on eviction report it: the mean of the rounded scores of the 16 tasks in English and of code.
  static void show_average(const std::vector<PredictionScores>& all) {
    double sum = 0;
    int count = 0;
    for (const PredictionScores& scores : all)
      if (scores.task->reported) {
        sum += rounded(scores.score);
        ++count;
      }
    if (count == 16)
      fmt::print("{:<47} {:>7.2f}\n", "mean of the 16 tasks that are not Chinese", sum / count);
  }
};

}  // namespace

void add_score(CLI::App& app, Action& action) {
  auto command = std::make_shared<ScoreCommand>();
  CLI::App* sub = app.add_subcommand("score", "score stored answers again, without a model");
  sub->add_option("dir", command->folder, "a results folder, or one with <task>.jsonl files")->required();
  sub->add_option(
         "--format", command->format,
         "evictbench, longbench or longbench-e; the first where there is a records.jsonl, else the second")
      ->check(CLI::IsMember({"evictbench", "longbench", "longbench-e"}));
  sub->add_option("--tasks", command->tasks, "only these, a,b,c")->delimiter(',')->allow_extra_args(false);
  sub->add_option("--metric", command->metrics, "another metric for a task, lcc=code_sim_levenshtein")
      ->allow_extra_args(false);
  sub->add_option("--jieba", command->jieba, "the folder of jieba's dictionary, to cut Chinese text with");
  sub->add_flag("--json", command->json, "scores in percent by task");
  sub->callback([=, &action] { action = [=] { return (*command)(); }; });
}

}  // namespace evictbench
