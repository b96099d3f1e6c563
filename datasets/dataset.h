#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "datasets/judge.h"
#include "datasets/warning.h"

// Text in, scores out. Datasets see no token ids: lengths come through a callback.
namespace evictbench {

struct Example;

// How a published program hides a needle, which it does among tokens: behind the last full stop before a share of them.
struct NeedleRules {
  bool specials = false;  // every text is encoded with the tokenizer's specials, and they stay in the text
  bool any_stop =
      false;  // stops with and without a space in front; else the tokens of "." as a text of its own
};
struct HiddenNeedle {
  std::string text;       // the context, needle included
  std::size_t place = 0;  // tokens before the needle
};

// Tokens of a text, and of what a prompt holds beside its context: question, answer prefix, template, specials.
// A prompt has exactly count(context) + count.beside(question, answer_prefix) of them.
struct TokenCounter {
  std::function<int(std::string_view text)> text;
  std::function<int(std::string_view question, std::string_view answer_prefix)> beside;

  // Of an example with rules of its own: all tokens of its prompt, and those of its question.
  std::function<std::pair<int, int>(const Example& example)> prompt{};

  // The text of the first `tokens` tokens; the text itself if it has no more.
  std::function<std::string(std::string_view text, int tokens, const NeedleRules& rules)> first{};
  // The context, cut so that it has `tokens` with the needle, and the needle behind `depth` percent of it.
  std::function<HiddenNeedle(std::string_view context, std::string_view needle, int tokens, double depth,
                             const NeedleRules& rules)>
      hide{};

  int operator()(std::string_view of) const { return text(of); }
};

// Bytes of a text.
struct Extent {
  std::size_t begin = 0, size = 0;
  std::size_t end() const { return begin + size; }
};

// How a benchmark's published program turns texts into a prompt, where that is to be done as it does: what the texts do not say.
struct PromptRules {
  // Text around the user's, in place of the checkpoint's chat template whose name begins so. It is encoded with it, after
  // the tokenizer's default specials, so a BOS that it spells comes on top of theirs.
  struct Wrap {
    std::string_view chat, before, after;
  };
  enum class Cut {
    kMiddleText,  // decode the first and the last half of the limit, put the texts together, encode again
    kMiddleIds,   // keep the tokens of the two halves
    kContextEnd,  // keep the first tokens of the context, template included; the question comes on top
  };
  std::span<const Wrap> wraps{};
  bool own_template = false;  // where no wrap is for it, the checkpoint's own template; else none
  bool chat = true;           // false: no wrap and no template
  bool wrap_before_cut = false;
  bool in_parts = false;      // context and question are encoded apart; else all in one piece
  bool prefix_after = false;  // in one piece: the answer prefix stands behind the template, not in it
  Cut cut = Cut::kMiddleText;
  int max_tokens = 0;  // of a prompt, before it is wrapped; 0: no limit
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
  std::vector<std::string> classes{};  // labels that an answer may name, where there is a list
  std::string asked{};                 // the question alone, where a metric looks at it
  std::shared_ptr<const PromptRules>
      rules{};                // null: context and question are encoded apart, by the checkpoint's template
  bool line_ends = false;     // a line feed ends the answer
  bool first_may_end = true;  // whether an answer may be empty
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
  virtual Judge judge() const { return {main_score()}; }  // how score() comes to the main one
  // Those of a benchmark's task begin with its name: "qasper 2 records of 200".
  virtual std::vector<Warning> warnings() const { return {}; }
};

}  // namespace evictbench
