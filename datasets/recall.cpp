// Recall: facts scattered over generated text, then asked for. Scenes are in recall_scenes.h.
//
//   context    generated text with every fact as a sentence or line of its own
//   length     of the whole prompt, question and answer prefix included, to the token
//   answer     exactly what the facts say; where several are needed, it restates them one after the other

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "datasets/haystack.h"
#include "datasets/recall_scenes.h"
#include "datasets/registry.h"
#include "datasets/text_metrics.h"

namespace evictbench {
namespace {

struct Options {
  std::string id;
  RecallKind kind;
  RecallSplit split = RecallSplit::kHeldOut;
  std::vector<int> lengths;    // prompt tokens, everything included
  std::vector<double> depths;  // of the first fact, percent of the filler before it; none: anywhere
  int count = 0;               // scenes for each length and depth
  int questions = 0;           // about each scene, one example each
  int items = 0;
  int max_new = 0;
  std::uint64_t seed = 42;
};

class Recall final : public Dataset {
 public:
  explicit Recall(Options options, TaskOptions task) : options_(std::move(options)), task_(std::move(task)) {}

  std::string name() const override { return options_.id; }
  std::string main_score() const override { return "exact"; }
  ScoreMap score(const Example& example, std::string_view answer) const override {
    return {{"exact", exact(answer, example.answers.front())}};
  }

  std::vector<Example> examples(const TokenCounter& count) const override {
    std::vector<Example> out;
    for (const int length : options_.lengths)
      for (std::size_t d = 0; d < std::max<std::size_t>(options_.depths.size(), 1); ++d)
        for (int i = 0; i < options_.count; ++i)
          add_scene(out, length, options_.depths.empty() ? -1 : options_.depths[d], i, count);
    return out;
  }

 private:
  using Placed = std::vector<std::pair<double, std::string>>;  // facts with their depths, the deepest first

  static std::string scattered(std::string text, const Placed& facts) {
    for (const auto& [depth, fact] : facts) text = insert_needle(text, fact, depth);
    return text;
  }

  // No two facts share a name, number or value, and the text between them holds none.
  static Extent evidence_in(const std::string& context, const std::string& evidence) {
    return evidence.empty() ? Extent{} : Extent{context.find(evidence), evidence.size()};
  }

  // The facts amid as much text as makes exactly `budget` tokens. Of a text that cannot be cut there, the next is tried.
  std::string context(const Placed& facts, int budget, std::uint64_t stream,
                      const TokenCounter& count) const {
    constexpr std::uint64_t kTries = 64;
    std::string best;
    for (std::uint64_t n = 0; n < kTries; ++n) {
      Haystack hay(mixed(stream + n), {});
      const auto tokens = [&](std::string_view text) { return count(scattered(std::string(text), facts)); };
      const auto bytes = hay.fit(budget, 0, static_cast<std::size_t>(budget) * 4, tokens);
      best = scattered(std::string(hay.prefix(bytes)), facts);
      if (count(best) == budget) break;
    }
    return best;
  }

  void add_scene(std::vector<Example>& out, int length, double depth, int index,
                 const TokenCounter& count) const {
    const std::string id = depth < 0 ? fmt::format("len{}-{}", length, index)
                                     : fmt::format("len{}-depth{}-{}", length, depth, index);
    const std::uint64_t stream = mixed(mixed(0, options_.kind.name), id);
    Draws draws(options_.seed, stream);
    RecallScene scene = options_.kind.scene(draws, options_.split, options_.items);
    const std::string needle = scene.facts.front();
    Placed facts;
    for (std::string& fact : scene.facts)
      facts.emplace_back(facts.empty() && depth >= 0 ? depth : static_cast<double>(draws.below(101)),
                         std::move(fact));
    std::ranges::stable_sort(facts, std::greater{}, &Placed::value_type::first);

    scene.questions.resize(std::min(scene.questions.size(), static_cast<std::size_t>(options_.questions)));
    int asking = 0;  // tokens beside the context, of the longest question
    for (const auto& q : scene.questions)
      asking = std::max(asking, count.beside(q.question, q.answer_prefix));
    const int budget = length - asking;
    if (budget < count(scattered("", facts)))
      reject(Exit::kSweep, {"E-RK-03", task_.file, task_.position_of("lengths"),
                            fmt::format("length {} has no room for the facts and the question", length),
                            fmt::format("at least {} tokens", length - budget + count(scattered("", facts))),
                            "raise the length, or lower 'items'"});
    const std::string text = context(facts, budget, options_.seed + stream, count);
    for (std::size_t q = 0; q < scene.questions.size(); ++q)
      out.push_back({options_.questions == 1 ? id : fmt::format("{}-q{}", id, q),
                     text,
                     scene.questions[q].question,
                     scene.questions[q].answer_prefix,
                     {scene.questions[q].answer},
                     needle,
                     length,
                     depth,
                     options_.max_new,
                     evidence_in(text, scene.questions[q].evidence)});
  }

  Options options_;
  TaskOptions task_;
};

RecallKind kind_of(const TaskOptions& task) {
  const std::string name = task.text("kind");
  std::vector<std::string> known;
  for (const RecallKind& kind : recall_kinds()) {
    if (kind.name == name) return kind;
    known.push_back(kind.name);
  }
  const std::string near = nearest(name, known);
  reject(Exit::kSweep,
         {"E-RK-01", task.file, task.position_of("kind"), fmt::format("unknown kind '{}'", printable(name)),
          fmt::format("one of {}", fmt::join(known, ", ")),
          near.empty() ? "choose one of them" : fmt::format("did you mean '{}'?", near)});
}

// Numbers of a key, all within [least, most].
template <class Number>
void check_range(const TaskOptions& task, const std::string& key, const std::vector<Number>& numbers,
                 Number least, Number most) {
  for (const Number number : numbers)
    if (!(number >= least && number <= most))
      reject(Exit::kSweep,
             {"E-RK-02", task.file, task.position_of(key), fmt::format("'{}' holds {}", key, number),
              fmt::format("{} to {}", least, most), "correct the number"});
}

RecallSplit split_of(const TaskOptions& task) {
  const std::string split = task.text_or("split", "heldout");
  if (split == "train") return RecallSplit::kTrain;
  if (split == "heldout") return RecallSplit::kHeldOut;
  reject(Exit::kSweep,
         {"E-RK-04", task.file, task.position_of("split"),
          fmt::format("unknown split '{}'", printable(split)), "train or heldout", "choose one of them"});
}

std::unique_ptr<const Dataset> make(const TaskOptions& task) {
  Options options;
  options.id = task.text_or("id", "recall");
  options.kind = kind_of(task);
  options.split = split_of(task);
  options.lengths = task.integers("lengths");
  if (task.has("depths")) options.depths = task.numbers("depths");
  options.count = task.integer_or("count", 10);
  options.questions = task.integer_or("questions", 1);
  options.items = task.integer_or("items", options.kind.items);
  options.max_new = task.integer_or("max_new", 48);
  options.seed = task.seed;
  check_range(task, "lengths", options.lengths, 1, 1 << 20);
  check_range(task, "depths", options.depths, 0.0, 100.0);
  check_range(task, "count", {options.count}, 1, 1 << 20);
  check_range(task, "questions", {options.questions}, 1, kMostRecallItems);
  check_range(task, "items", {options.items}, options.kind.name == "multi_query" ? 3 : 1, kMostRecallItems);
  check_range(task, "max_new", {options.max_new}, 1, 65536);
  return std::make_unique<const Recall>(std::move(options), task);
}

const int entry =
    register_dataset({"recall",
                      "facts scattered over generated text: needles, many keys, two hops, labels, code",
                      {"exact"},
                      {"kind", "split", "lengths", "depths", "count", "questions", "items", "max_new"},
                      make});

}  // namespace
}  // namespace evictbench
