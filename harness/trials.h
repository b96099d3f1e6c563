#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "harness/head_scorer.h"
#include "harness/prepared.h"

// What heads are measured and masked on: prompts whose answer is read from one place that is known to the token.
namespace evictbench {

struct Trial {
  std::string task, example;        // ids
  const Example* source = nullptr;  // of the set that holds this trial
  bool copy = false,
       reasoning = false;  // the scores that it counts for; copy stands for the semantic ones too
  Tokens prompt;           // [T]
  TokenSpan evidence;      // of the prompt
};

// The trials that a file describes: tasks in the sweep file's syntax, each with the key `scores: copy`, `reasoning` or
// a list of both; absent, it counts for both. Errors: exit 3 for the file, exit 4 for model and data.
struct TrialSet {
  // An empty `file` stands for calibration/needles.yaml, which the program brings along.
  TrialSet(const std::string& file, const std::vector<std::string>& overrides, SweepModel model);
  TrialSet(const TrialSet&) = delete;  // trials point into it

  std::vector<std::pair<std::string, std::string>>
      data;  // seed, and tasks with their options, as the file has them

 private:
  struct Counts {
    bool copy = false, reasoning = false;
  };
  explicit TrialSet(Sweep sweep);
  static std::vector<Counts> take_counts(Sweep& sweep);
  std::vector<Counts> counts_;  // of each task

 public:
  Prepared run;
  std::vector<Trial> trials;
};

extern const char* const kHeadTasks;  // calibration/needles.yaml

// The tokens of `ids` that hold any byte of `bytes` in `text`; `ids` are those of a text that ends with `text`. Found by
// decoding, so exact with any tokenizer; one that rewrites text is an Error (exit 4).
TokenSpan tokens_of(const Tokenizer& tokenizer, std::span<const std::int32_t> ids, std::string_view text,
                    Extent bytes);

// Answers a trial as its model does: prefill of all but the last prompt token, then one token a step, greedily, from the
// whole cache. An answer ends at an end token of the checkpoint, or at a line feed once it has begun; neither is part
// of it.
class Answering {
 public:
  Answering(Device& device, const Model& model, const Checkpoint& checkpoint,
            std::function<void()> between = {});

  std::shared_ptr<const Snapshot> prefill(const Trial& trial) const;  // of prompt [0, T - 1)

  // What happens at each step, after its rows of attention were told to the tap. May be empty.
  struct Heard {
    std::function<void(std::int32_t token)> given;
    std::function<void()> ended;
  };
  Tokens answer(const Trial& trial, const std::shared_ptr<const Snapshot>& snapshot, const AttentionTap& tap,
                const Heard& heard = {}) const;
  std::string text(const Tokens& answer) const { return checkpoint_.tokenizer().decode(answer); }

 private:
  bool ends(const Tokens& answer, std::int32_t token) const;

  Device& device_;
  const Model& model_;
  const Checkpoint& checkpoint_;
  std::function<void()> between_;
};

}  // namespace evictbench
