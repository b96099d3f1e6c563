#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "harness/evaluate.h"
#include "models/checkpoint.h"

// The commands of the program. Each add_* declares one on the command line and sets what runs when it is chosen; what
// runs returns the exit code.
namespace evictbench {

using Action = std::function<int()>;

void add_run(CLI::App& app, Action& action);                 // run, plan, validate, report
void add_validate_data(CLI::App& validate, Action& action);  // validate data
void add_check(CLI::App& app, Action& action);               // check
void add_compare(CLI::App& app, Action& action);             // compare
void add_score(CLI::App& app, Action& action);               // score
void add_list(CLI::App& app, Action& action);                // list policies|tasks|families|metrics
void add_inspect(CLI::App& app, Action& action);             // inspect tokens|logits|kept|model
void add_generate(CLI::App& app, Action& action);            // generate
void add_heads(CLI::App& app, Action& action);               // heads
void add_layers(CLI::App& app, Action& action);              // layers
void add_bench(CLI::App& app, Action& action);               // bench
void add_perplexity(CLI::App& app, Action& action);  // perplexity sliding|chunks|rolling|streaming|evicted

// Options that mean the same everywhere.
struct Where {
  std::string device = "cpu", compute = "f32";
  int threads = 0;
  bool allow_nonfinite = false;  // weights that are NaN or infinite are loaded all the same

  void declare(CLI::App& app);
};

// A checkpoint on a device, ready to run.
struct Loaded {
  Loaded(const std::string& folder, const Where& where);
  std::unique_ptr<Device> device;
  Checkpoint checkpoint;
  std::unique_ptr<const Model> model;
};
std::unique_ptr<Device> make_device(const Where& where);  // what is not available is an Error (exit 2)
std::unique_ptr<const Model> load_model(const Checkpoint& checkpoint, const Where& where, Device& device);

// Text or ids from the command line.
struct TextInput {
  std::string text, file, ids;
  bool no_special = false, parse_special = false;
  bool utf8_only = false;  // of a command: a text that is not UTF-8 is refused, rather than mended
  std::string chat = "none";

  // The group of its options, one of which must be given; a command may add others.
  CLI::Option_group* declare(CLI::App& app, bool required = true);
  std::string body() const;  // of --text or --text-file
  // Not empty, all below `vocabulary`. The tokenizer may be absent where ids are given.
  Tokens tokens(const std::string& folder, const Tokenizer* tokenizer, int vocabulary) const;
};

// A number of tokens beyond the model's context is a usage error.
void check_length(const Checkpoint& checkpoint, std::size_t tokens, const std::string& mend);

// `--policy NAME --set k=v ... --budget N` -> a point.
struct PolicyInput {
  std::string name = "full";  // or "snapkv{window=16}", without settings
  std::vector<std::string> settings;
  double budget = 0;
  std::int64_t seed = 42;
  bool allow_other_scores = false;  // score files of another model are used all the same

  void declare(CLI::App& app);
  void declare_common(CLI::App& app);  // all but name, settings and budget
  Point point() const;
  void check(const Point& point, const Checkpoint& checkpoint) const;  // its score files, by their sidecars
};

// `--policy A B{k=v} --budget M N` -> the full cache, then every policy at every budget.
struct PoliciesInput {
  std::vector<std::string> names;
  std::vector<double> budgets;
  PolicyInput each;  // what holds for all of them

  void declare(CLI::App& app);
  std::vector<Point> points(const Checkpoint& checkpoint) const;  // their score files checked
};

// The two halves of a prompt, by the checkpoint's template: what may be evicted, and the question with all that follows.
Prompt encode_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& context,
                     const std::string& question, const std::string& answer_prefix);

}  // namespace evictbench
