#pragma once

#include <string>
#include <vector>

#include "harness/prepared.h"

namespace evictbench {

// What a sweep, its score files and its data give reason to warn of: one line for all tasks of an entry that have the same
// reason.
std::vector<std::string> warnings_of(const Prepared& run);

}  // namespace evictbench
