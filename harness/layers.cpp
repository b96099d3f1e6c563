// layers: how much the output of each layer suffers when its cache is cut; files of that averaged.
#include "harness/commands.h"
#include "harness/layer_files.h"
#include "harness/layer_measure.h"

namespace evictbench {
namespace {

[[noreturn]] void usage(const std::string& found, const std::string& expected, const std::string& mend) {
  reject(Exit::kUsage, {"E-CL-05", "evictbench layers", "", found, expected, mend});
}

struct LayersCommand {
  LayerMeasurement measurement;
  std::string seed;
  std::vector<std::string> average;

  int run() {
    LayerMeasurement& m = measurement;
    if (m.model.path.empty() == average.empty())
      usage("no one thing to do", "a model, or --average FILE...", "give one of them");
    if (!average.empty()) {
      average_layer_files(average, m.out);
      return 0;
    }
    if (m.head_scores.empty())
      usage("no --head-scores", "the heads that choose what is kept",
            "measure them first: evictbench heads MODEL --out DIR; then DIR/semantic.json");
    if (m.where.device == "reference")
      usage("--device reference, which has no second selection", "a device that has", "use --device cpu");
    m.model.device = m.where.device;
    m.model.compute = m.where.compute;
    if (!seed.empty()) m.overrides.push_back("protocol.seed=" + seed);
    return m.run();
  }
};

}  // namespace

void add_layers(CLI::App& app, Action& action) {
  auto command = std::make_shared<LayersCommand>();
  LayerMeasurement& m = command->measurement;
  CLI::App* sub =
      app.add_subcommand("layers", "measure how much each layer suffers from eviction, for compresskv");
  sub->add_option("model", m.model.path, "a Hugging Face folder or a .gguf file");
  sub->add_option(
      "--tasks", m.tasks,
      "tasks to measure on, as in a sweep file; if absent, generated ones that no sweep of ours scores");
  sub->add_option("--set", m.overrides, "override a key of that file: --set tasks.0.lengths=[512]")
      ->allow_extra_args(false);
  sub->add_option("--seed", command->seed, "of generated text: the same as --set protocol.seed=..")
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--chat", m.model.chat, "chat template: none, auto or a name")->capture_default_str();
  sub->add_option("--head-scores", m.head_scores, "scores or an order of this model's heads: semantic ones");
  sub->add_option("--heads", m.heads, "heads of a layer that choose")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  sub->add_flag("--allow-other-scores", m.model.allow_other_scores,
                "use head scores that were measured on another model all the same");
  sub->add_option("--dump-trials", m.dump, "a file for the examples as token ids, a line of JSON each");
  CLI::Option* average =
      sub->add_option("--average", command->average, "files of layer scores to make one of");
  for (const char* other : {"--tasks", "--set", "--seed", "--head-scores", "--dump-trials"})
    average->excludes(sub->get_option(other));
  sub->add_option("--out", m.out, "the score file; a sidecar goes beside it")->required();
  sub->add_flag("--json", m.json, "print the scores as JSON");
  m.where.declare(*sub);
  sub->callback([command, &action] { action = [command] { return command->run(); }; });
}

}  // namespace evictbench
