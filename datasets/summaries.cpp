// CNN/DailyMail and XSum: articles to be summarised, from a JSONL file of the user's.
//
//   as HELM and H2O have them   article (the whole prompt), summary_gt, perhaps max_tokens and stop
//   as the data sets have them  article and highlights, or document and summary; put into HELM's prompt

#include "datasets/summaries.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/io/file.h"
#include "datasets/json_lines.h"
#include "datasets/metrics/metric.h"
#include "datasets/option_names.h"
#include "datasets/registry.h"

namespace evictbench {
namespace {

constexpr std::string_view kAsks = "\n\nSummarize the above article in ";
constexpr std::string_view kStop = "###";
constexpr const char* kMetrics[] = {"rouge_l",  "rouge_1",  "rouge_2",    "rouge1_f",
                                    "rouge2_f", "rougeL_f", "rougeLsum_f"};

struct SummaryTask {
  const char *name, *description, *text_field, *summary_field, *sentences;
  int max_new;
};
constexpr SummaryTask kCnn{"cnn_dailymail", "CNN/DailyMail: news articles and their highlights",
                           "article",       "highlights",
                           "3 sentences",   128};
constexpr SummaryTask kXsum{
    "xsum", "XSum: news articles and one sentence about each", "document", "summary", "1 sentence", 64};

Example read_record(const SummaryTask& task, const Json& line) {
  Example example;
  example.max_new = task.max_new;
  const bool is_prompt = line.has("summary_gt");
  const char *text_field = is_prompt ? "article" : task.text_field,
             *summary_field = is_prompt ? "summary_gt" : task.summary_field;
  std::string prompt = line.at(text_field).string();
  example.answers = {line.at(summary_field).string()};
  for (const char* field : {text_field, summary_field})
    if (line.at(field).string().find_first_not_of(" \t\r\n") == std::string::npos)
      line.at(field).reject("01", "an empty text", "a text", "remove the line, or fetch the file again");
  if (!is_prompt) prompt = fmt::format("{}\nArticle: {}{}{}.\n", kStop, prompt, kAsks, task.sentences);
  if (is_prompt && line.has("max_tokens"))
    example.max_new = static_cast<int>(line.at("max_tokens").integer(1, 65536));
  std::size_t at = prompt.rfind(kAsks);
  if (at == prompt.npos) at = prompt.rfind("\n\n");
  if (at == prompt.npos || at == 0)
    line.at(text_field)
        .reject("02", "a prompt that asks for nothing",
                fmt::format("an article and \"{}..\"", printable(kAsks)),
                "put the question behind an empty line");
  example.context = prompt.substr(0, at);
  example.question = prompt.substr(at);
  return example;
}

// The task that a record has the fields of; null: none. Whole prompts are read alike by both.
const SummaryTask* task_of(const Json& record) {
  if (!record.is_object()) return nullptr;
  for (const SummaryTask* task : {&kCnn, &kXsum})
    if (record.has(task->text_field) && (record.has(task->summary_field) || record.has("summary_gt")))
      return task;
  return nullptr;
}

Json first_line(const std::string& path) {
  const std::string text = read_text(path, Exit::kInput, "E-SM");
  return Json::from_text(text.substr(0, text.find('\n')), path, {.code_prefix = "E-SM"});
}

class Summaries final : public Dataset {
 public:
  Summaries(const SummaryTask& task, const TaskOptions& options) : name_(options.text_or("id", task.name)) {
    const OptionReader reader{options, "E-SM"};
    const bool in_template = reader.name("template", {"none", "model"}) == "model";
    const auto rules =
        std::make_shared<const PromptRules>(PromptRules{.own_template = true, .chat = in_template});
    read_json_lines(options.resolve(options.text("path")), {.code_prefix = "E-SM"},
                    [&](const Json& line, std::size_t) {
                      Example example = read_record(task, line);
                      example.id = fmt::format("{}", examples_.size());
                      example.max_new = reader.number("max_new", example.max_new, 1, 65536);
                      example.rules = rules;
                      examples_.push_back(std::move(example));
                    });
  }

  std::string name() const override { return name_; }
  std::string main_score() const override { return kMetrics[0]; }
  std::vector<Example> examples(const TokenCounter&) const override { return examples_; }
  Judge judge() const override { return {main_score(), Judge::Part::kBeforeStop}; }
  ScoreMap score(const Example& example, std::string_view answer) const override {
    answer = judged_part(judge().part, answer);
    ScoreMap scores;
    for (const char* metric : kMetrics)
      scores[metric] = metric_named(metric).score({answer, example.answers});
    return scores;
  }

 private:
  std::string name_;
  std::vector<Example> examples_;
};

template <const SummaryTask& kTask>
std::unique_ptr<const Dataset> make(const TaskOptions& options) {
  return std::make_unique<const Summaries>(kTask, options);
}

template <const SummaryTask& kTask>
int registered() {
  return register_dataset({.name = kTask.name,
                           .description = kTask.description,
                           .metrics = {std::begin(kMetrics), std::end(kMetrics)},
                           .keys = {"path", "max_new", "template"},
                           .make = make<kTask>});
}

const int cnn_entry = registered<kCnn>();
const int xsum_entry = registered<kXsum>();

}  // namespace

bool are_summaries(const std::string& path) {
  try {
    return task_of(first_line(path)) != nullptr;
  } catch (const Error&) {
    return false;
  }
}

std::size_t count_summaries(const std::string& path) {
  const SummaryTask* task = task_of(first_line(path));
  require(task != nullptr, "a file of summaries without any");
  std::size_t count = 0;
  read_json_lines(path, {.code_prefix = "E-SM"}, [&](const Json& line, std::size_t) {
    read_record(*task, line);
    ++count;
  });
  return count;
}

}  // namespace evictbench
