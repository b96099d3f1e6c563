// check DIR --baseline FILE: the gate of continuous integration.
#include <fmt/format.h>

#include <algorithm>

#include "harness/baseline.h"
#include "harness/commands.h"
#include "harness/output_folder.h"
#include "harness/results.h"

namespace evictbench {
namespace {

struct CheckCommand {
  std::string folder, baseline;
  bool write = false;

  int operator()() const {
    constexpr std::size_t kMostShown = 20;
    const Manifest manifest = read_manifest(folder + "/manifest.json");
    const std::vector<Record> records = read_records(folder);
    if (write) return write_file(baseline, baseline_text(manifest, records)), 0;
    const BaselineCheck check = check_baseline(baseline, folder, manifest, records);
    const std::size_t changed = check.changes.size();
    for (std::size_t i = 0; i < std::min(changed, kMostShown); ++i) fmt::print("{}\n", check.changes[i]);
    if (changed == 0)
      fmt::print("{}: all {} records are as in {}\n", folder, check.records, baseline);
    else
      fmt::print("{}: {} of {} records are not as in {}\n", folder, changed, check.records, baseline);
    return static_cast<int>(changed == 0 ? Exit::kGood : Exit::kRegression);
  }
};

}  // namespace

void add_check(CLI::App& app, Action& action) {
  auto command = std::make_shared<CheckCommand>();
  CLI::App* sub = app.add_subcommand("check", "compare a results folder with a baseline, bit for bit");
  sub->add_option("dir", command->folder, "a results folder")->required();
  sub->add_option("--baseline", command->baseline, "a file that `check --write` made")->required();
  sub->add_flag("--write", command->write, "make the baseline from the folder instead");
  sub->callback([=, &action] { action = [=] { return (*command)(); }; });
}

}  // namespace evictbench
