#include "core/stat.h"

#include <algorithm>

namespace evictbench {

void Needs::add(const Needs& other) {
  for (const Stat& stat : other.stats)
    if (std::ranges::find(stats, stat) == stats.end()) stats.push_back(stat);
  for (const Probe& probe : other.probes)
    if (std::ranges::find(probes, probe.name, &Probe::name) == probes.end()) probes.push_back(probe);
}

}  // namespace evictbench
