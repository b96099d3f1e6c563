// A sweep file, and behind each byte 1 what --set was given. What is accepted is the same when read again.
#include "harness/sweep.h"

#include <filesystem>

#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  static const bool made = std::filesystem::create_directory(folder / "m");
  must(made, "sweep: no model folder");
  const std::string path = folder.write("sweep.yaml", take_until(input, '\1'));
  std::vector<std::string> overrides;
  while (!input.empty()) overrides.emplace_back(take_until(input, '\1'));
  const Sweep sweep = load_sweep(path, overrides);
  must(!sweep.points.empty() && !sweep.tasks.empty() && !sweep.protocols.empty() &&
           std::ssize(sweep.points) <= kMostPoints,
       "sweep: nothing to run");
  must(identity(sweep) == identity(load_sweep(path, overrides)), "sweep: another one when read again");
}

}  // namespace evictbench
