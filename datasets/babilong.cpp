// BABILong: facts of bAbI hidden in books, then asked for.
//
//   context    instruction, examples and the text, up to where the text ends
//   question   the rest of the official prompt
//   rules      the whole in one piece, in the checkpoint's chat template

#include <fmt/format.h>

#include <algorithm>

#include "datasets/babilong_data.h"
#include "datasets/metrics/metric.h"
#include "datasets/option_names.h"
#include "datasets/registry.h"

namespace evictbench {
namespace {

// What programs do differently.
struct Protocol {
  const char* name;
  int max_new;
  bool first_may_end;
};
constexpr Protocol kProtocols[] = {{"babilong", 20, true}, {"headkv", 15, false}};

class Babilong final : public Dataset {
 public:
  Babilong(std::string name, const BabilongTask& task, const std::string& length, const BabilongFile& file,
           const Protocol& protocol, int max_new)
      : name_(std::move(name)) {
    for (const Warning& warning : file.warnings)
      warnings_.push_back(warning.of(fmt::format("{}/{}", length, task.name)));
    const auto rules = std::make_shared<const PromptRules>(PromptRules{.own_template = true});
    for (const BabilongRecord& record : file.records) {
      Example& example = examples_.emplace_back();
      example.id = fmt::format("{}", examples_.size() - 1);
      example.context = babilong_context(task, record.input);
      example.question = babilong_question(record.question);
      example.answers = {record.target};
      example.asked = record.question;
      example.classes.assign(task.labels.begin(), task.labels.end());
      example.length = babilong_thousands(length) * 1000;
      example.max_new = max_new;
      example.first_may_end = protocol.first_may_end;
      example.rules = rules;
    }
  }

  std::string name() const override { return name_; }
  std::string main_score() const override { return "babilong_match"; }
  std::vector<Example> examples(const TokenCounter&) const override { return examples_; }
  std::vector<Warning> warnings() const override { return warnings_; }
  ScoreMap score(const Example& example, std::string_view answer) const override {
    ScoreMap scores;
    for (const char* metric : {"babilong_match", "babilong_words"})
      scores[metric] =
          metric_named(metric).score({answer, example.answers, example.classes, example.asked, nullptr});
    return scores;
  }

 private:
  std::string name_;
  std::vector<Example> examples_;
  std::vector<Warning> warnings_;
};

std::vector<std::unique_ptr<const Dataset>> make(const TaskOptions& task) {
  const OptionReader options{task, "E-BL"};
  const std::string folder = options.folder("path", how_to_get_babilong());
  const std::vector<std::string> there = babilong_lengths(folder);
  if (there.empty())
    options.refuse("35", "path", fmt::format("no file of a task in \"{}\"", printable(folder, 200)),
                   "<length>/<task>/data-*.arrow, <length>/<task>.json or <task>/<length>.json",
                   how_to_get_babilong(), Exit::kInput);
  std::vector<std::string> names, protocols;
  for (const BabilongTask& row : babilong_tasks()) names.emplace_back(row.name);
  for (const Protocol& row : kProtocols) protocols.emplace_back(row.name);
  const Protocol& protocol =
      *std::ranges::find(kProtocols, options.name("protocol", protocols), &Protocol::name);
  const int max_new = options.number("max_new", protocol.max_new, 1, 65536);

  std::vector<std::unique_ptr<const Dataset>> out;
  for (const std::string& length : options.names("lengths", there))
    for (const std::string& name : options.names("tasks", names)) {
      const BabilongTask& row = *babilong_task(name);
      const std::string path = babilong_path(folder, length, row);
      const auto has = [&](const std::string& other) { return !babilong_path(folder, other, row).empty(); };
      if (path.empty() && (!task.has("tasks") || (!task.has("lengths") && std::ranges::any_of(there, has))))
        continue;
      if (path.empty())
        options.refuse("38", "tasks", fmt::format("no file of \"{}\" at {}", name, length),
                       fmt::format("{}/{}", length, name), how_to_get_babilong(), Exit::kInput);
      const std::string id = fmt::format("{}/{}/{}", task.text_or("id", "babilong"), length, name);
      out.push_back(
          std::make_unique<const Babilong>(id, row, length, read_babilong(path, row), protocol, max_new));
    }
  return out;
}

const int entry = register_dataset({.name = "babilong",
                                    .description = "BABILong, 20 tasks of facts hidden in books",
                                    .metrics = {"babilong_match", "babilong_words"},
                                    .keys = {"path", "lengths", "tasks", "protocol", "max_new"},
                                    .make_several = make});

}  // namespace
}  // namespace evictbench
