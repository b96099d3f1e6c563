// compare BASE NEW: the gate on accuracy and memory, by pairs of answers to the same examples.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "harness/commands.h"
#include "harness/output_folder.h"
#include "harness/results.h"
#include "reports/comparison.h"

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
    const auto changed =
        differences(read_manifest(base + "/manifest.json"), read_manifest(now + "/manifest.json"));
    const auto scores = read_notes(base).main_scores;
    Comparison comparison = compare(aggregate(base_records, scores), aggregate(now_records, scores), rules());
    comparison.base_peak = peak_bytes(base);
    comparison.now_peak = peak_bytes(now);
    comparison.more_peak =
        comparison.base_peak > 0 && comparison.now_peak > comparison.base_peak * (1 + peak_tolerance / 100);
    if (!junit.empty()) write_file(junit, comparison_junit(comparison));
    if (json)
      fmt::print("{}", comparison_json(comparison));
    else
      show(changed, comparison);
    return static_cast<int>(comparison.regressions() > 0 || comparison.more_peak ? Exit::kRegression
                                                                                 : Exit::kGood);
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

  static void show(const std::vector<std::string>& changed, const Comparison& comparison) {
    constexpr std::size_t kMostShown = 10;
    for (std::size_t i = 0; i < std::min(changed.size(), kMostShown); ++i)
      fmt::print("differs: {}\n", changed[i]);
    if (changed.size() > kMostShown) fmt::print("differs: {} more\n", changed.size() - kMostShown);
    fmt::print("{}", comparison_table(comparison));
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
