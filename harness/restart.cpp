#include "harness/restart.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace evictbench {
namespace {

constexpr const char* kRestarted = "EVICTBENCH_RESTARTED";  // in the environment of a program that was

std::vector<std::string> own_arguments() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string one; std::getline(in, one, '\0');) arguments.push_back(one);
  return arguments;
}

}  // namespace

void restart(const DeviceLost& why) {
  if (std::getenv(kRestarted) != nullptr)
    throw Error(
        Exit::kRequeue,
        fmt::format("{}; it was lost before. Every finished record is safe: run the same command again, on "
                    "another card if it fails once more.",
                    why.what()));
  spdlog::warn("{}; starting anew where the records end", why.what());
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> pointers;
  for (std::string& one : arguments) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  ::setenv(kRestarted, "1", 1);
  ::execv("/proc/self/exe", pointers.data());
  throw Error(Exit::kRequeue, fmt::format("{}; this program could not be started anew", why.what()));
}

}  // namespace evictbench
