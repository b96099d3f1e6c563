// heads: which heads retrieve; what they are worth; score files as orders; what two sets of heads share.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "harness/ablate.h"
#include "harness/commands.h"
#include "harness/head_measure.h"
#include "harness/head_sets.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

[[noreturn]] void usage(const std::string& found, const std::string& expected, const std::string& mend) {
  reject(Exit::kUsage, {"E-CL-04", "evictbench heads", "", found, expected, mend});
}

// An order of a score file, where that is all that a policy needs; the sidecar goes along.
int write_order(const std::string& from, const std::string& to) {
  const std::string text = order_text(read_head_set(from).order);
  if (to.empty()) {
    fmt::print("{}", text);
  } else if (auto sidecar = read_sidecar(from)) {
    write_scores(to, text, *std::move(sidecar));
  } else {
    write_file(to, text);
  }
  return 0;
}

Out json_of(const HeadComparison& both, const std::vector<std::string>& files) {
  Out overall = Out::array();
  for (const auto& [k, shared] : both.overall)
    overall.push_back(
        {{"k", k}, {"shared", shared}, {"by_chance", 1.0 * k * k / (both.layers * both.heads)}});
  return {{"a", files[0]},
          {"b", files[1]},
          {"layers", both.layers},
          {"heads", both.heads},
          {"of_a_layer",
           {{"k", both.k},
            {"shared", both.shared},
            {"mean", both.mean_shared},
            {"by_chance", both.by_chance},
            {"rank_correlations", both.layer_correlations}}},
          {"of_the_model", std::move(overall)},
          {"rank_correlation", both.correlation ? Out(*both.correlation) : Out(nullptr)}};
}

int compare(const std::vector<std::string>& files, int k, bool json) {
  const HeadComparison both = compare_heads(read_head_set(files[0]), read_head_set(files[1]), k);
  if (json) {
    fmt::print("{}\n", json_of(both, files).dump(-1, ' ', false, Out::error_handler_t::replace));
    return 0;
  }
  fmt::print("best {} of each layer: {:.2f} shared on average, {:.2f} by chance; by layer {}\n", both.k,
             both.mean_shared, both.by_chance, fmt::join(both.shared, " "));
  for (const auto& [best, shared] : both.overall)
    fmt::print("best {} of the model: {} shared, {:.1f} by chance\n", best, shared,
               1.0 * best * best / (both.layers * both.heads));
  double mean = 0;
  for (const double correlation : both.layer_correlations) mean += correlation / both.layers;
  fmt::print("rank correlation: {:.3f} within a layer, on average{}\n", mean,
             both.correlation ? fmt::format("; {:.3f} over all heads", *both.correlation)
                              : "; orders have no scores to rank all heads by");
  return 0;
}

struct HeadsCommand {
  HeadMeasurement measurement;
  HeadAblation ablation;  // its input is the measurement's
  bool ablate = false;
  std::string seed, accept = "answered", from;
  std::vector<std::string> files;  // to compare
  int top = 4;

  int run() {
    if (measurement.model.path.empty() && from.empty() && files.empty())
      usage("nothing to do", "a model, or --from FILE, or --compare A B", "give one of them");
    if (!files.empty()) return compare(files, top, measurement.json);
    if (!from.empty()) return write_order(from, measurement.out);
    return measure();
  }

  int measure() {
    HeadMeasurement& m = measurement;
    if (m.out.empty()) usage("no --out", "a folder to write to", "such as --out heads");
    if (ablate && ablation.scores.empty())
      usage("--ablate without --scores", "score files of this model",
            "such as --ablate --scores heads/copy.json heads/semantic.json");
    if (m.where.device == "reference")
      usage("--device reference, where attention cannot be watched or changed", "a device where it can",
            "use --device cpu");
    m.model.device = m.where.device;
    m.model.compute = m.where.compute;
    m.accept = accept == "all" ? Accept::kAll : Accept::kAnswered;
    if (!seed.empty()) m.overrides.push_back("protocol.seed=" + seed);
    if (!ablate) return m.run();
    static_cast<HeadInput&>(ablation) = m;
    std::ranges::sort(ablation.counts);
    ablation.counts.erase(std::ranges::unique(ablation.counts).begin(), ablation.counts.end());
    return ablation.run();
  }
};

}  // namespace

void add_heads(CLI::App& app, Action& action) {
  auto command = std::make_shared<HeadsCommand>();
  HeadMeasurement& m = command->measurement;
  HeadAblation& a = command->ablation;
  CLI::App* sub = app.add_subcommand("heads", "measure which heads retrieve; order and compare their scores");
  sub->add_option("model", m.model.path, "a Hugging Face folder or a .gguf file");
  sub->add_option("--tasks", m.tasks,
                  "tasks to measure on, as in a sweep file; if absent, needles in generated text");
  sub->add_option("--set", m.overrides, "override a key of that file: --set tasks.0.lengths=[512]")
      ->allow_extra_args(false);
  sub->add_option("--seed", command->seed, "of generated text: the same as --set protocol.seed=..")
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--chat", m.model.chat, "chat template: none, auto or a name")->capture_default_str();
  sub->add_option("--out", m.out, "folder of the measurement; with --from, the file of the order");
  sub->add_flag("--json", m.json, "one JSON object");
  m.where.declare(*sub);

  const char* kMeasure = "a measurement of scores";
  sub->add_option("--accept", command->accept, "which trials count: answered, or all")
      ->check(CLI::IsMember({"answered", "all"}))
      ->capture_default_str()
      ->group(kMeasure);
  sub->add_option("--dump-trials", m.dump, "a file for the trials as token ids, a line of JSON each")
      ->group(kMeasure);

  const char* kAblate = "what the best heads of score files are worth";
  CLI::Option* ablate = sub->add_flag("--ablate", command->ablate,
                                      "mask the best heads of each score file, and as many at random")
                            ->group(kAblate);
  sub->add_option("--scores", a.scores, "score files, one for each kind")->needs(ablate)->group(kAblate);
  sub->add_option("--mask", a.counts, "how many heads, such as 1,2,4,8")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->needs(ablate)
      ->group(kAblate);
  sub->add_option("--draws", a.draws, "draws of random heads, at least 10")
      ->check(CLI::Range(10, 10000))
      ->capture_default_str()
      ->needs(ablate)
      ->group(kAblate);
  sub->add_flag("--allow-other-scores", m.model.allow_other_scores,
                "scores that were measured on another model")
      ->needs(ablate)
      ->group(kAblate);

  const char* kFiles = "score files, without a model";
  CLI::Option* from =
      sub->add_option("--from", command->from, "a file of scores, to make an order of")->group(kFiles);
  CLI::Option* compare = sub->add_option("--compare", command->files, "two files of scores or orders")
                             ->expected(2)
                             ->group(kFiles);
  sub->add_option("--top", command->top, "heads of a layer to compare")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str()
      ->needs(compare)
      ->group(kFiles);
  for (const char* other :
       {"model", "--tasks", "--set", "--seed", "--chat", "--accept", "--dump-trials", "--ablate"}) {
    from->excludes(sub->get_option(other));
    compare->excludes(sub->get_option(other));
  }
  compare->excludes(from);
  compare->excludes(sub->get_option("--out"));
  for (const char* other : {"--accept", "--dump-trials"}) ablate->excludes(sub->get_option(other));
  sub->callback([command, &action] { action = [command] { return command->run(); }; });
}

}  // namespace evictbench
