// RULER: 13 tasks, from files or generated at lengths of choice.
//
//   length     tokens of the prompt, template and answer prefix included, and of the answer: as RULER counts
//   rules      the task's text in the checkpoint's chat template, the answer prefix behind it; all in one piece

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/json.h"
#include "datasets/haystack.h"
#include "datasets/metrics/metric.h"
#include "datasets/option_names.h"
#include "datasets/registry.h"
#include "datasets/ruler_data.h"
#include "datasets/ruler_scenes.h"

namespace evictbench {
namespace {

constexpr int kMostLength = 1 << 21, kMostCount = 10000;

Example example_of(const RulerText& text, int length, int max_new, std::shared_ptr<const PromptRules> rules) {
  Example example;
  example.context = text.context;
  example.question = text.question;
  example.answer_prefix = text.answer_prefix;
  example.answers = text.answers;
  example.needle = text.needle;
  example.length = length;
  example.max_new = max_new;
  example.rules = std::move(rules);
  return example;
}

class RulerDataset : public Dataset {
 public:
  RulerDataset(std::string name, const RulerTask& task) : name_(std::move(name)), task_(task) {}
  std::string name() const override { return name_; }
  std::string main_score() const override { return std::string(task_.metric()); }
  ScoreMap score(const Example& example, std::string_view answer) const override {
    return {{main_score(), metric_named(task_.metric()).score({answer, example.answers})}};
  }

 protected:
  std::string name_;
  const RulerTask& task_;
};

class FromFile final : public RulerDataset {
 public:
  FromFile(std::string name, const RulerTask& task, const std::string& path, int length, int max_new)
      : RulerDataset(std::move(name), task) {
    const RulerFile file = read_ruler(path, task);
    const std::string within = length == 0 ? std::string(task.name) : fmt::format("{}/{}", length, task.name);
    for (const Warning& warning : file.warnings) warnings_.push_back(warning.of(within));
    const auto rules = std::make_shared<const PromptRules>(
        PromptRules{.own_template = true, .chat = !file.wrapped, .prefix_after = file.prefixed});
    for (const RulerText& record : file.records) {
      examples_.push_back(example_of(record, length, max_new, rules));
      examples_.back().id = fmt::format("{}", examples_.size() - 1);
    }
  }
  std::vector<Example> examples(const TokenCounter&) const override { return examples_; }
  std::vector<Warning> warnings() const override { return warnings_; }

 private:
  std::vector<Example> examples_;
  std::vector<Warning> warnings_;
};

class Generated final : public RulerDataset {
 public:
  Generated(std::string name, const RulerTask& task, RulerSources sources, int count, int max_new,
            TaskOptions options)
      : RulerDataset(std::move(name), task),
        sources_(std::move(sources)),
        count_(count),
        max_new_(max_new),
        options_(std::move(options)) {}

  std::vector<Example> examples(const TokenCounter& count) const override {
    std::vector<Example> out;
    std::size_t size = static_cast<std::size_t>(sources_.length);  // the last one's is a good guess
    for (int i = 0; i < count_; ++i) {
      out.push_back(fitted(static_cast<std::size_t>(i), size, count));
      out.back().id = fmt::format("{}", i);
    }
    return out;
  }

 private:
  // Of scenes that hold no size of exactly the tokens, the next is drawn.
  Example fitted(std::size_t index, std::size_t& size, const TokenCounter& count) const {
    constexpr std::uint64_t kDraws = 32;
    const int budget = sources_.length - max_new_;
    const auto rules =
        std::make_shared<const PromptRules>(PromptRules{.own_template = true, .prefix_after = true});
    RulerSources sources = sources_;
    sources.count = count.text;
    Example best;
    int most = -1;
    for (std::uint64_t draw = 0; draw < kDraws && most != budget; ++draw) {
      const std::uint64_t stream =
          mixed(mixed(mixed(0, task_.name) + static_cast<std::uint64_t>(sources_.length), "ruler")) +
          index * kDraws + draw;
      const auto scene = ruler_scene(task_, sources, index, Draws(options_.seed, stream));
      const auto example = [&](std::size_t of, int variant) {
        return example_of(scene->text(of, variant), sources_.length, max_new_, rules);
      };
      const auto tokens = [&](const Example& of) { return count.prompt(of).first; };
      if (draw == 0) check_room(tokens(example(0, 0)), budget);
      size =
          largest(scene->most(budget), size, budget, [&](std::size_t of) { return tokens(example(of, 0)); });
      search(*scene, size, [&](std::size_t of, int variant) {
        Example next = example(of, variant);
        const int n = tokens(next);
        if (n > most && n <= budget) {
          most = n;
          best = std::move(next);
        }
        return most == budget;
      });
    }
    check_length(most, budget);
    return best;
  }

  // Sizes about the largest that fits, until `found`.
  template <class Found>
  static void search(const RulerScene& scene, std::size_t size, const Found& found) {
    constexpr std::size_t kBelow = 8, kAbove = 16;
    for (int variant = 0; variant < scene.variants(); ++variant) {
      if (found(size, variant)) return;
      for (std::size_t n = 1; n <= std::min(kBelow, size) && variant < 8; ++n)
        if (found(size - n, variant)) return;
    }
    for (std::size_t n = 1; n <= kAbove; ++n)
      if (found(size + n, 0)) return;
  }

  // The largest size whose tokens are within the budget, where they grow steadily; from a guess by interpolation.
  template <class Tokens>
  static std::size_t largest(std::size_t most, std::size_t guess, int budget, const Tokens& tokens) {
    constexpr int kGuesses = 8;  // after these, plain halving
    std::size_t fits = 0, too_long = most + 1;
    for (int tries = 0; too_long - fits > 1; ++tries) {
      if (tries >= kGuesses || guess <= fits || guess >= too_long) guess = fits + (too_long - fits) / 2;
      const int n = tokens(guess);
      if (n == budget) return guess;
      (n < budget ? fits : too_long) = guess;
      const double aim = static_cast<double>(guess) * budget / std::max(n, 1);
      guess = static_cast<std::size_t>(std::clamp(aim, 0.0, static_cast<double>(too_long)));
    }
    return fits;
  }

  void check_room(int least, int budget) const {
    if (least > budget)
      refuse(fmt::format("length {} has no room for {}", sources_.length, task_.name),
             fmt::format("at least {} tokens", least + max_new_));
  }
  void check_length(int tokens, int budget) const {
    constexpr int kSlack = 2;
    if (tokens < budget - kSlack)
      refuse(fmt::format("{} of {} tokens is all that {} can be made of", tokens + max_new_, sources_.length,
                         task_.name),
             "more documents, or a shorter length");
  }
  [[noreturn]] void refuse(const std::string& found, const std::string& expected) const {
    reject(Exit::kSweep,
           {"E-RL-40", options_.file, options_.position_of("lengths"), found, expected, "change 'lengths'"});
  }

  RulerSources sources_;
  int count_, max_new_;
  TaskOptions options_;
};

// The sweep's options, read and refused.
class Reader {
 public:
  explicit Reader(const TaskOptions& task)
      : task_(task), options_{task, "E-RL"}, id_(task.text_or("id", "ruler")) {
    for (const RulerTask& row : ruler_tasks()) names_.emplace_back(row.name);
  }

  std::vector<std::unique_ptr<const Dataset>> all() { return task_.has("path") ? from_files() : generated(); }

 private:
  std::vector<std::unique_ptr<const Dataset>> from_files() {
    for (const char* key : {"count", "haystack", "squad", "hotpotqa"})
      if (task_.has(key))
        options_.refuse("34", key, fmt::format("'{}' beside 'path'", key), "one of them", "remove one");
    const std::string folder = options_.folder("path", how_to_get_ruler());
    const std::vector<int> there = ruler_lengths(folder);
    if (there.empty())
      options_.refuse("35", "path", fmt::format("no file of a task in \"{}\"", printable(folder, 200)),
                      "<task>.jsonl or <length>/<task>.jsonl", how_to_get_ruler(), Exit::kInput);
    std::vector<std::unique_ptr<const Dataset>> out;
    for (const int length : task_.has("lengths") ? options_.numbers("lengths", 1, kMostLength) : there)
      for (const std::string& name : options_.names("tasks", names_)) {
        const RulerTask& row = *ruler_task(name);
        const std::string path = ruler_path(folder, length, row);
        const auto has = [&](int other) { return !ruler_path(folder, other, row).empty(); };
        const bool all_lengths = !task_.has("lengths"), all_tasks = !task_.has("tasks");
        if (path.empty() && all_lengths && (all_tasks || std::ranges::any_of(there, has))) continue;
        if (path.empty() && all_tasks && std::ranges::find(there, length) != there.end()) continue;
        if (path.empty())
          options_.refuse("38", task_.has("lengths") ? "lengths" : "tasks",
                          fmt::format("no file of \"{}\" at {}", name, length),
                          fmt::format("{}/{}.jsonl", length, name), how_to_get_ruler(), Exit::kInput);
        out.push_back(std::make_unique<const FromFile>(dataset_name(length, name), row, path, length,
                                                       options_.number("max_new", row.max_new, 1, 65536)));
      }
    return out;
  }

  std::vector<std::unique_ptr<const Dataset>> generated() {
    const int count = options_.number("count", 10, 1, kMostCount);
    const auto essays = read_essays();
    std::vector<std::unique_ptr<const Dataset>> out;
    for (const int length : options_.numbers("lengths", 1, kMostLength))
      for (const std::string& name : chosen()) {
        const RulerTask& row = *ruler_task(name);
        const int max_new = options_.number("max_new", row.max_new, 1, 65536);
        out.push_back(std::make_unique<const Generated>(dataset_name(length, name), row,
                                                        RulerSources{essays, documents(name), {}, length},
                                                        count, max_new, task_));
      }
    return out;
  }

  // All that can be made of what the sweep names; a qa task by name needs its documents.
  std::vector<std::string> chosen() const {
    std::vector<std::string> out;
    for (const std::string& name : options_.names("tasks", names_)) {
      const char* key = documents_key(name);
      if (key != nullptr && !task_.has(key)) {
        if (!task_.has("tasks")) continue;
        options_.refuse("39", "tasks", fmt::format("\"{}\", whose documents are not generated", name),
                        fmt::format("{}: a file", key),
                        name == "qa_1" ? "fetch dev-v2.0.json of SQuAD 2.0"
                                       : "fetch hotpot_dev_distractor_v1.json of HotpotQA");
      }
      out.push_back(name);
    }
    return out;
  }

  static const char* documents_key(const std::string& name) {
    return name == "qa_1" ? "squad" : name == "qa_2" ? "hotpotqa" : nullptr;
  }

  std::shared_ptr<const RulerDocuments> documents(const std::string& name) {
    const char* key = documents_key(name);
    if (key == nullptr) return nullptr;
    auto& read = documents_[name];
    const std::string path = task_.resolve(task_.text(key));
    if (!read)
      read = std::make_shared<const RulerDocuments>(name == "qa_1" ? read_squad(path) : read_hotpotqa(path));
    return read;
  }

  // A folder of .txt files, or RULER's own PaulGrahamEssays.json.
  std::shared_ptr<RulerEssays> read_essays() const {
    const std::string haystack = task_.text_or("haystack", "generated");
    if (haystack == "generated") return std::make_shared<RulerEssays>(task_.seed);
    const std::string path = task_.resolve(haystack);
    if (!is_file(path)) return std::make_shared<RulerEssays>(read_haystack(path));
    const Json text = Json::from_file(path, {.code_prefix = "E-RL"}).at("text");
    if (text.string().find_first_not_of(" \t\r\n") == std::string::npos)
      text.reject("14", "a text without a word", "essays", "name another file");
    return std::make_shared<RulerEssays>(text.string());
  }

  std::string dataset_name(int length, const std::string& task) const {
    return length == 0 ? fmt::format("{}/{}", id_, task) : fmt::format("{}/{}/{}", id_, length, task);
  }

  const TaskOptions& task_;
  OptionReader options_;
  std::string id_;
  std::vector<std::string> names_;
  std::map<std::string, std::shared_ptr<const RulerDocuments>> documents_;
};

const int entry = register_dataset(
    {.name = "ruler",
     .description =
         "RULER, 13 tasks of needles, variables, words and documents; 11 of them generated at any length",
     .metrics = {"ruler_all", "ruler_any"},
     .keys = {"path", "lengths", "tasks", "count", "haystack", "squad", "hotpotqa", "max_new"},
     .make_several = [](const TaskOptions& task) { return Reader(task).all(); }});

}  // namespace

std::unique_ptr<const RulerScene> ruler_scene(const RulerTask& task, const RulerSources& sources,
                                              std::size_t index, Draws draws) {
  switch (task.kind) {
    case RulerTask::Kind::kNiah:
      return ruler_needles_scene(task, sources, draws);
    case RulerTask::Kind::kVariables:
      return ruler_variables_scene(sources, draws);
    case RulerTask::Kind::kCommonWords:
      return ruler_common_words_scene(sources, draws);
    case RulerTask::Kind::kFrequentWords:
      return ruler_frequent_words_scene(sources, draws);
    case RulerTask::Kind::kDocuments:
      return ruler_documents_scene(sources, index, draws);
  }
  throw Error(Exit::kInternal, "a RULER task of no kind");
}

}  // namespace evictbench
