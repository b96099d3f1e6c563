// LongBench and LongBench-E from the official files.
//
//   context    the prompt up to where the context ends
//   question   the rest of the official prompt, the answer prefix aside
//   rules      those of a named protocol (longbench_protocols.h)

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/io/file.h"
#include "datasets/longbench_data.h"
#include "datasets/longbench_protocols.h"
#include "datasets/registry.h"
#include "datasets/segmenter.h"

namespace evictbench {
namespace {

constexpr int kLeastTokens = 2, kMostTokens = 1 << 24;

// What all tasks of one entry of the sweep share.
struct Settings {
  std::string id, folder;
  bool e = false;
  const LongBenchProtocol* protocol = nullptr;
  PromptRules::Cut cut = PromptRules::Cut::kMiddleText;
  int max_tokens = 0;
  std::shared_ptr<const Segmenter> segmenter;
};

Example example_of(const LongBenchTask& task, const LongBenchRecord& record,
                   const LongBenchProtocol& protocol, std::shared_ptr<const PromptRules> rules) {
  std::string_view input = record.input;
  std::string_view prefix = task.answer_prefix;
  if (protocol.in_parts && !task.cue.empty() && input.ends_with(task.cue)) {
    input.remove_suffix(task.cue.size());
    prefix = task.cue;
  }
  Example example;
  example.id = record.id;
  example.context = fill_in(task.context, record.context, input);
  example.question = fill_in(task.question, record.context, input);
  example.answer_prefix = prefix;
  example.answers = record.answers;
  example.classes = record.classes;
  example.max_new = task.max_new + protocol.more_new;
  example.rules = std::move(rules);
  example.line_ends = task.line_ends && protocol.line_ends;
  example.first_may_end = !protocol.never_empty && !example.line_ends;
  return example;
}

class LongBenchData final : public Dataset {
 public:
  LongBenchData(std::string name, const LongBenchTask& task, const Settings& settings,
                const std::vector<LongBenchRecord>& records, std::vector<Warning> warnings)
      : name_(std::move(name)),
        task_(task),
        protocol_(*settings.protocol),
        segmenter_(settings.segmenter),
        warnings_(std::move(warnings)) {
    const auto rules = std::make_shared<const PromptRules>(PromptRules{
        .wraps = protocol_.wraps,
        .own_template = protocol_.own_template,
        .chat = protocol_.wraps_plain || !task.plain,
        .wrap_before_cut = protocol_.wrap_before_cut,
        .in_parts = protocol_.in_parts,
        .cut = settings.cut,
        .max_tokens = settings.max_tokens,
    });
    for (const LongBenchRecord& record : records)
      examples_.push_back(example_of(task, record, protocol_, rules));
  }

  std::string name() const override { return name_; }
  std::string main_score() const override { return std::string(task_.metric); }
  std::vector<Example> examples(const TokenCounter&) const override { return examples_; }
  std::vector<Warning> warnings() const override { return warnings_; }

  Judge judge() const override {
    Judge judge = judge_of(task_);
    if (task_.first_line && protocol_.strips) judge.part = Judge::Part::kFirstText;
    return judge;
  }

  ScoreMap score(const Example& example, std::string_view answer) const override {
    const Judge by = judge();
    return {{by.metric, metric_named(by.metric).score({judged_part(by.part, answer), example.answers,
                                                       example.classes, "", segmenter_.get()})}};
  }

 private:
  std::string name_;
  const LongBenchTask& task_;
  const LongBenchProtocol& protocol_;
  std::shared_ptr<const Segmenter> segmenter_;
  std::vector<Example> examples_;
  std::vector<Warning> warnings_;
};

// The sweep's options, read and refused.
class Reader {
 public:
  Reader(const TaskOptions& options, bool e) : options_(options) {
    settings_.e = e;
    settings_.id = options.text(options.has("id") ? "id" : "name");
    settings_.folder = options.resolve(options.text("path"));
    if (!is_folder(settings_.folder))
      refuse("31", "path", fmt::format("there is no folder \"{}\"", printable(settings_.folder, 200)),
             "the folder of LongBench's .jsonl files", how_to_get_longbench(), Exit::kInput);
    read_protocol();
    read_segmenter();
  }

  std::vector<std::unique_ptr<const Dataset>> all() const {
    std::vector<Warning> warnings;
    std::vector<std::unique_ptr<const Dataset>> out;
    for (const LongBenchTask* task : tasks(warnings)) add(*task, warnings, out);
    return out;
  }

 private:
  [[noreturn]] void refuse(const char* code, const std::string& key, const std::string& found,
                           const std::string& expected, const std::string& mend,
                           Exit exit = Exit::kSweep) const {
    reject(exit,
           {std::string("E-LB-") + code, options_.file, options_.position_of(key), found, expected, mend});
  }

  // The row of a table whose name a key holds.
  template <class Rows>
  auto row(const std::string& key, const std::string& name, const Rows& rows) const {
    std::vector<std::string> names;
    for (const auto& each : rows) {
      if (each.name == name) return &each;
      names.emplace_back(each.name);
    }
    const std::string near = nearest(name, names);
    refuse("32", key, fmt::format("no \"{}\"", printable(name)),
           fmt::format("one of {}", fmt::join(names, ", ")),
           near.empty() ? "choose one of these" : fmt::format("did you mean '{}'?", near));
  }

  void read_protocol() {
    settings_.protocol = row("protocol", options_.text_or("protocol", "longbench"), longbench_protocols());
    if (options_.has("max_tokens")) {
      settings_.max_tokens = options_.integer("max_tokens");
      if (settings_.max_tokens < kLeastTokens || settings_.max_tokens > kMostTokens)
        refuse("33", "max_tokens", fmt::format("max_tokens {}", settings_.max_tokens),
               fmt::format("{} to {}", kLeastTokens, kMostTokens), "correct it");
    }
    const std::string cut = options_.text_or("truncate", "faithful");
    if (cut != "faithful" && cut != "ids")
      refuse("34", "truncate", fmt::format("\"{}\"", printable(cut)), "faithful or ids",
             "choose one of them");
    if (cut == "ids" && settings_.protocol->cuts_context)
      refuse("34", "truncate",
             fmt::format("\"ids\" under the protocol {}, which cuts the context's end",
                         settings_.protocol->name),
             "faithful", "remove the key");
    settings_.cut = settings_.protocol->cuts_context ? PromptRules::Cut::kContextEnd
                    : cut == "ids"                   ? PromptRules::Cut::kMiddleIds
                                                     : PromptRules::Cut::kMiddleText;
  }

  void read_segmenter() {
    const std::string folder =
        options_.has("jieba") ? options_.resolve(options_.text("jieba")) : usual_segmenter_folder();
    if (!folder.empty()) settings_.segmenter = Segmenter::from_folder(folder);
  }

  // Those that `tasks` names, or else all whose files are there and whose answers can be scored.
  std::vector<const LongBenchTask*> tasks(std::vector<Warning>& warnings) const {
    std::vector<const LongBenchTask*> out;
    if (options_.has("tasks")) {
      for (const std::string& name : options_.texts("tasks")) out.push_back(chosen(name, out));
      return out;
    }
    for (const LongBenchTask& task : longbench_tasks()) {
      if (settings_.e && task.e_records == 0) continue;
      if (longbench_path(settings_.folder, task, settings_.e).empty()) continue;
      if (needs_segmenter(task) && !settings_.segmenter)
        warnings.push_back({std::string(task.name), "left out, for want of a dictionary of Chinese words; " +
                                                        how_to_get_a_segmenter()});
      else
        out.push_back(&task);
    }
    if (out.empty())
      refuse("35", "path", fmt::format("no file of a task in \"{}\"", printable(settings_.folder, 200)),
             settings_.e ? "<task>_e.jsonl, there or in data/" : "<task>.jsonl, there or in data/",
             how_to_get_longbench(), Exit::kInput);
    return out;
  }

  const LongBenchTask* chosen(const std::string& name,
                              const std::vector<const LongBenchTask*>& before) const {
    const LongBenchTask* task = row("tasks", name, longbench_tasks());
    if (std::ranges::find(before, task) != before.end())
      refuse("36", "tasks", fmt::format("\"{}\" a second time", name), "every task once", "remove it");
    if (settings_.e && task->e_records == 0)
      refuse("37", "tasks", fmt::format("\"{}\", which LongBench-E does not have", name),
             "one of its 13 tasks", "remove it, or write name: longbench");
    if (longbench_path(settings_.folder, *task, settings_.e).empty())
      refuse("38", "tasks",
             fmt::format("no file of \"{}\" in \"{}\"", name, printable(settings_.folder, 200)),
             fmt::format("{}{}.jsonl, there or in data/", name, settings_.e ? "_e" : ""),
             how_to_get_longbench(), Exit::kInput);
    if (needs_segmenter(*task) && !settings_.segmenter)
      refuse("39", "tasks", fmt::format("\"{}\", whose answers are scored by Chinese words", name),
             "jieba: the folder of a dictionary", how_to_get_a_segmenter());
    return task;
  }

  // `warnings` go with the first dataset.
  void add(const LongBenchTask& task, std::vector<Warning>& warnings,
           std::vector<std::unique_ptr<const Dataset>>& out) const {
    LongBenchFile file =
        read_longbench(longbench_path(settings_.folder, task, settings_.e), task, settings_.e);
    for (const Warning& warning : file.warnings) warnings.push_back(warning.of(std::string(task.name)));
    const std::string name = fmt::format("{}/{}", settings_.id, task.name);
    if (!settings_.e) {
      out.push_back(std::make_unique<const LongBenchData>(name, task, settings_, file.records,
                                                          std::exchange(warnings, {})));
      return;
    }
    for (std::size_t b = 0; b < kLengthBuckets.size(); ++b) {
      std::vector<LongBenchRecord> some;
      for (const LongBenchRecord& record : file.records)
        if (length_bucket(record.length) == b) some.push_back(record);
      if (some.empty()) continue;
      out.push_back(std::make_unique<const LongBenchData>(fmt::format("{}/{}", name, kLengthBuckets[b]), task,
                                                          settings_, some, std::exchange(warnings, {})));
    }
  }

  const TaskOptions& options_;
  Settings settings_;
};

std::vector<std::string> metric_names() {
  std::vector<std::string> out;
  for (const LongBenchTask& task : longbench_tasks())
    if (std::ranges::find(out, task.metric) == out.end()) out.emplace_back(task.metric);
  return out;
}

const std::vector<std::string> kKeys{"path", "tasks", "protocol", "max_tokens", "truncate", "jieba"};
const int entry =
    register_dataset({.name = "longbench",
                      .description = "LongBench, 21 tasks of long contexts in English, Chinese and code",
                      .metrics = metric_names(),
                      .keys = kKeys,
                      .make_several = [](const TaskOptions& task) { return Reader(task, false).all(); }});
const int e_entry =
    register_dataset({.name = "longbench-e",
                      .description = "LongBench-E, 13 of its tasks with lengths in three ranges",
                      .metrics = metric_names(),
                      .keys = kKeys,
                      .make_several = [](const TaskOptions& task) { return Reader(task, true).all(); }});

}  // namespace
}  // namespace evictbench
