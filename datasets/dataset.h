#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// Text in, scores out. Datasets see no token ids: lengths come through a callback.
namespace evictbench {

using TokenCounter = std::function<int(std::string_view)>;

struct Example {
  std::string id;                    // stable within the task: "len512-depth50-Tallinn"
  std::string context;               // what may be evicted
  std::string question;              // fed inside the prompt or after eviction
  std::string answer_prefix;         // begins the model's answer; may be empty
  std::vector<std::string> answers;  // references; the best one counts
  std::string needle;                // the text that holds the answer, if there is one
  int length = 0;                    // nominal length in tokens, or 0
  double depth = -1;                 // percent of the context before the needle, or -1
  int max_new = 32;
};

// One named number in [0, 1] per scoring: "exact", "rouge1_recall", "word_overlap".
using ScoreMap = std::map<std::string, double>;

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::string name() const = 0;
  virtual std::string main_score() const = 0;  // the scoring that curves and tables show first
  // All examples, in a fixed order. `count` gives the tokens of a text; `overhead` is what the prompt holds beside
  // context, question and answer prefix (chat template and special tokens).
  virtual std::vector<Example> examples(const TokenCounter& count, int overhead) const = 0;
  virtual ScoreMap score(const Example& example, std::string_view answer) const = 0;
  virtual std::vector<std::string> warnings() const { return {}; }
};

}  // namespace evictbench
