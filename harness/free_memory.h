#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace evictbench {

// Bytes of memory that a program here can still have: what the kernel says is available, and no more than what is left to
// its control group (version 2), whose file cache counts as free. Nothing where the kernel does not say. `root`: where
// /proc and /sys are.
std::optional<std::int64_t> free_memory(const std::string& root = "");

}  // namespace evictbench
