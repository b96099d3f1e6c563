#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// Text in, scores out. Datasets see no token ids: lengths come through a callback.
namespace evictbench {

// Tokens of a text, and of what a prompt holds beside its context: question, answer prefix, template, specials.
// A prompt has exactly count(context) + count.beside(question, answer_prefix) of them.
struct TokenCounter {
  std::function<int(std::string_view text)> text;
  std::function<int(std::string_view question, std::string_view answer_prefix)> beside;

  int operator()(std::string_view of) const { return text(of); }
};

// Bytes of a text.
struct Extent {
  std::size_t begin = 0, size = 0;
  std::size_t end() const { return begin + size; }
};

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
  Extent evidence{};  // of `context`: what the answer is read from; size 0 where that is no one place
};

// One named number in [0, 1] per scoring: "exact", "rouge1_recall", "word_overlap".
using ScoreMap = std::map<std::string, double>;

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::string name() const = 0;
  virtual std::string main_score() const = 0;  // the scoring that curves and tables show first
  virtual std::vector<Example> examples(const TokenCounter& count) const = 0;  // all, in a fixed order
  virtual ScoreMap score(const Example& example, std::string_view answer) const = 0;
  virtual std::vector<std::string> warnings() const { return {}; }
};

}  // namespace evictbench
