#include "harness/free_memory.h"

#include <algorithm>
#include <fstream>

namespace evictbench {
namespace {

// The number behind `key` in a file of lines "key number ..".
std::optional<std::int64_t> number_behind(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  std::string word;
  std::int64_t number = 0;
  for (std::string line; in >> word; std::getline(in, line))
    if (word == key && in >> number) return number;
  return std::nullopt;
}

std::optional<std::int64_t> number_in(const std::string& path) {
  std::ifstream in(path);
  std::int64_t number = 0;
  if (in >> number) return number;
  return std::nullopt;  // absent, or "max"
}

}  // namespace

std::optional<std::int64_t> free_memory(const std::string& root) {
  constexpr std::int64_t kKilo = 1024;
  std::optional<std::int64_t> free = number_behind(root + "/proc/meminfo", "MemAvailable:");
  if (free) *free *= kKilo;
  const std::string group = root + "/sys/fs/cgroup/";
  const auto most = number_in(group + "memory.max"), used = number_in(group + "memory.current");
  if (!most || !used) return free;
  const std::int64_t cached = number_behind(group + "memory.stat", "inactive_file").value_or(0);
  const std::int64_t left = std::max<std::int64_t>(0, *most - *used + cached);
  return std::min(free.value_or(left), left);
}

}  // namespace evictbench
