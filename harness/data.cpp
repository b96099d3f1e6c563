// validate data DIR: what a folder of data holds, what is missing, and where to get it.
#include "datasets/data_folder.h"

#include <fmt/format.h>

#include "harness/commands.h"

namespace evictbench {
namespace {

int show(const std::string& folder) {
  const DataFolder data = look_at_data(folder);
  std::size_t errors = 0, warnings = 0;
  for (const DataFinding& finding : data.found) {
    if (finding.error.empty())
      fmt::print("{}: {}\n", finding.what, finding.state);
    else
      fmt::print("{}: {}\n", finding.what, finding.error);
    for (const std::string& warning : finding.warnings) fmt::print("  warning: {}\n", warning);
    errors += !finding.error.empty();
    warnings += finding.warnings.size();
  }
  for (const std::string& line : data.missing) fmt::print("missing of {}\n", line);
  for (const std::string& name : data.unknown) fmt::print("not known: {}\n", printable(name));
  fmt::print("{}: {} found, {} with errors, {} warnings\n", folder, data.found.size(), errors, warnings);
  return static_cast<int>(errors == 0 ? Exit::kGood : Exit::kInput);
}

}  // namespace

void add_validate_data(CLI::App& validate, Action& action) {
  auto folder = std::make_shared<std::string>();
  CLI::App* sub = validate.add_subcommand("data", "say what a folder of data holds and what it lacks");
  sub->add_option("dir", *folder, "a folder of data")->required();
  sub->callback([=, &action] { action = [=] { return show(*folder); }; });
}

}  // namespace evictbench
