// compare BASE NEW: the gate on accuracy and memory, by pairs of answers to the same examples.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "harness/commands.h"
#include "harness/output_folder.h"
#include "harness/results.h"
#include "reports/comparison.h"
#include "reports/labels.h"

namespace evictbench {
namespace {

struct CompareCommand {
  std::string base, now, junit;
  std::vector<std::string> policies;
  double tolerance = 0, peak_tolerance = 2;  // percent
  std::optional<double> memory_tolerance;
  bool partial = false, json = false;

  int operator()() const {
    const std::vector<Record> base_records = read_records(base), now_records = read_records(now);
    const auto scores = read_notes(base).main_scores;
    const Comparison comparison =
        compare(aggregate(base_records, scores), aggregate(now_records, scores), rules());
    const double base_peak = peak_bytes(base), now_peak = peak_bytes(now);
    const bool more_peak = base_peak > 0 && now_peak > base_peak * (1 + peak_tolerance / 100);
    if (!junit.empty()) write_file(junit, comparison_junit(comparison));
    if (json)
      fmt::print("{}", comparison_json(comparison));
    else
      show(comparison, base_peak, now_peak, more_peak);
    return static_cast<int>(comparison.regressions() > 0 || more_peak ? Exit::kRegression : Exit::kGood);
  }

 private:
  ComparisonRules rules() const {
    ComparisonRules out{{}, tolerance / 100, std::nullopt, partial};
    if (memory_tolerance || policies.empty()) out.memory_tolerance = memory_tolerance.value_or(0) / 100;
    for (const std::string& pair : policies) {
      // The first "=" outside of braces: snapkv{window=16}=adakv
      std::size_t equals = 0, depth = 0;
      for (; equals < pair.size() && (pair[equals] != '=' || depth > 0); ++equals) {
        if (pair[equals] == '{') ++depth;
        if (pair[equals] == '}' && depth > 0) --depth;
      }
      if (equals == 0 || equals + 1 >= pair.size())
        reject(Exit::kUsage, {"E-CL-01", "command line", "--policy", fmt::format("\"{}\"", printable(pair)),
                              "POLICY=OTHER, such as snapkv=adakv", "name a policy of each folder"});
      out.instead.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    }
    return out;
  }

  void show(const Comparison& comparison, double base_peak, double now_peak, bool more_peak) const {
    constexpr std::size_t kMostShown = 10;
    const auto changed =
        differences(read_manifest(base + "/manifest.json"), read_manifest(now + "/manifest.json"));
    for (std::size_t i = 0; i < std::min(changed.size(), kMostShown); ++i)
      fmt::print("differs: {}\n", changed[i]);
    if (changed.size() > kMostShown) fmt::print("differs: {} more\n", changed.size() - kMostShown);
    fmt::print("{}", comparison_table(comparison));
    if (base_peak > 0 && now_peak > 0)
      fmt::print("peak of a run's memory: {} -> {}{}\n", bytes_label(base_peak), bytes_label(now_peak),
                 more_peak ? "  WORSE" : "");
    if (comparison.alone > 0) fmt::print("left out: {} answers without a partner\n", comparison.alone);
    const std::size_t worse = comparison.regressions();
    fmt::print("{} of {} points and means are worse{}\n", worse, comparison.points(),
               more_peak ? ", and more memory is needed" : "");
  }
};

// CLI::Range takes NaN.
const CLI::Validator kShare(
    [](std::string& text) {
      double percent = 0;
      const bool good = CLI::detail::lexical_cast(text, percent) && percent >= 0 && std::isfinite(percent);
      return good ? std::string() : fmt::format("\"{}\" is no percentage of 0 or more", printable(text));
    },
    "PERCENT");

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  auto command = std::make_shared<CompareCommand>();
  CLI::App* sub =
      app.add_subcommand("compare", "what a second run of the same examples gains and loses, pair by pair");
  sub->add_option("base", command->base, "a results folder")->required();
  sub->add_option("new", command->now, "a results folder; the same one to compare its policies")->required();
  sub->add_option("--policy", command->policies,
                  "POLICY=OTHER: the first one's points in BASE with the other's in NEW");
  sub->add_option("--tolerance", command->tolerance, "percent that a mean score may drop")->check(kShare);
  sub->add_option("--memory-tolerance", command->memory_tolerance,
                  "percent more that an example may retain (0; with --policy any)")
      ->check(kShare);
  sub->add_option("--peak-tolerance", command->peak_tolerance,
                  "percent more that a run may take at its peak (2)")
      ->check(kShare);
  sub->add_flag("--partial", command->partial, "compare what both have, and leave out the rest");
  sub->add_option("--junit", command->junit, "a file for JUnit's XML");
  sub->add_flag("--json", command->json, "print one JSON object");
  sub->callback([=, &action] { action = [=] { return (*command)(); }; });
}

}  // namespace evictbench
