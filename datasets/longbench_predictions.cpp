#include "datasets/longbench_predictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/io/file.h"
#include "datasets/json_lines.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

struct Prediction {
  std::string answer;
  std::vector<std::string> references;
  int length = 0;
};

struct Predictions {
  std::vector<Prediction> lines;
  std::vector<std::string> classes;           // of the last line
  std::map<std::string, std::size_t> places;  // of each id, the line that had it first
  std::vector<std::string> warnings;
};

Predictions read(const std::string& path, const LongBenchTask& task, LongBench which) {
  Predictions all;
  std::size_t twice = 0;
  read_json_lines(path, {.code_prefix = "E-PR"}, [&](const Json& line, std::size_t number) {
    Prediction prediction{line.at("pred").string(), strings_of(line.at("answers"))};
    if (prediction.references.empty())
      line.at("answers").reject("01", "no answer to compare with", "one or more", "correct the line");
    const auto length =
        which == LongBench::kByLength ? std::optional(line.at("length")) : line.find("length");
    if (length) prediction.length = static_cast<int>(length->integer(0, INT32_MAX));
    const auto classes = line.find("all_classes");
    all.classes = classes ? strings_of(*classes) : std::vector<std::string>();
    if (const auto id = line.find("_id"))
      if (const auto [first, added] = all.places.try_emplace(id->string(), number); !added && ++twice == 1)
        all.warnings.push_back(fmt::format("{}: line {} has the id \"{}\" of line {}", path, number,
                                           printable(id->string()), first->second));
    all.lines.push_back(std::move(prediction));
  });
  if (twice > 1) all.warnings.back() += fmt::format(", and {} more lines repeat an id", twice - 1);
  const int due = which == LongBench::kByLength ? task.e_records : task.records;
  if (std::ssize(all.lines) != due)
    all.warnings.push_back(
        fmt::format("{}: {} lines, but {} has {} records{}", path, all.lines.size(), task.name, due,
                    std::ssize(all.lines) > due ? "; a program run twice appends to its file" : ""));
  if (metric_named(task.metric).labelled && all.classes.empty())
    reject(Exit::kInput,
           {"E-PR-02", path, std::to_string(all.lines.size()),
            fmt::format("no all_classes in the last line, which {} looks for", task.metric),
            "the list of class names", "write the records' all_classes along, or choose another metric"});
  return all;
}

}  // namespace

bool are_predictions(const std::string& path) {
  const std::string text = read_text(path, Exit::kInput, "E-PR");
  const Json first = Json::from_text(text.substr(0, text.find('\n')), path, {.code_prefix = "E-PR"});
  return first.is_object() && first.has("pred");
}

std::size_t count_predictions(const std::string& path, const LongBenchTask& task,
                              std::vector<std::string>& warnings) {
  Predictions all = read(path, task, LongBench::kWhole);
  if (std::ssize(all.lines) != task.e_records) warnings = std::move(all.warnings);
  return all.lines.size();
}

double rounded(double percent) { return std::strtod(fmt::format("{:.2f}", percent).c_str(), nullptr); }

PredictionScores score_predictions(const std::string& path, const LongBenchTask& task, LongBench which,
                                   const Segmenter* segmenter, std::string_view metric) {
  LongBenchTask scored = task;
  if (!metric.empty()) scored.metric = metric;
  Predictions all = read(path, scored, which);
  PredictionScores out{&task, metric_named(scored.metric).name, all.lines.size(), 0,
                       {},    std::move(all.warnings)};
  const Judge judge = judge_of(scored);
  std::array<double, 3> sums{};
  std::array<int, 3> counts{};
  double sum = 0;
  for (const Prediction& line : all.lines) {
    const double score =
        metric_named(judge.metric)
            .score({judged_part(judge.part, line.answer), line.references, all.classes, "", segmenter});
    const std::size_t bucket = length_bucket(line.length);
    sum += score;
    sums[bucket] += score;
    ++counts[bucket];
  }
  out.score = 100 * sum / static_cast<double>(all.lines.size());
  for (std::size_t b = 0; b < 3; ++b)
    if (counts[b] > 0) out.by_length[b] = 100 * (sums[b] / counts[b]);
  return out;
}

std::vector<const LongBenchTask*> predicted_tasks(const std::string& folder,
                                                  std::vector<std::string>& strangers) {
  std::vector<const LongBenchTask*> out;
  if (!is_folder(folder))
    reject(Exit::kInput, {"E-PR-03", folder, "", "no such folder", "a folder with <task>.jsonl files",
                          "name the folder with the predictions of one model"});
  for (const LongBenchTask& task : longbench_tasks())
    if (is_there(fmt::format("{}/{}.jsonl", folder, task.name))) out.push_back(&task);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".jsonl" && longbench_task(entry.path().stem().string()) == nullptr)
      strangers.push_back(entry.path().filename().string());
  std::ranges::sort(strangers);
  if (out.empty())
    reject(Exit::kInput, {"E-PR-04", folder, "", "no file of a LongBench task",
                          "<task>.jsonl files, such as hotpotqa.jsonl",
                          "name the folder with the predictions of one model"});
  return out;
}

}  // namespace evictbench
