#pragma once

#include <string>
#include <vector>

#include "harness/journal.h"

namespace evictbench {

// One of the `count` parts of a run, for as many cards or machines: the units whose number, in the order of the plan,
// leaves index - 1 when divided by count. A unit is one prefill with all its points, so no prompt is prefilled twice.
struct Shard {
  int index = 1, count = 1;  // from 1

  bool has(std::size_t unit) const {
    return unit % static_cast<std::size_t>(count) == static_cast<std::size_t>(index - 1);
  }
};

Shard parse_shard(const std::string& text);  // "2/8"; an Error (exit 2) for anything else

// What the manifest of a shard says beside that of the whole run; nothing where there is one shard.
Manifest shard_entries(const Shard& shard, std::size_t records);

// Puts the results folders of all shards of a run together in `into`: the records, and all that is made of them, of a run
// that was never cut. Folders of different runs are an Error (exit 8); one that is missing, twice there or unfinished
// is exit 4. -> exit code, as of a run
int merge_shards(const std::vector<std::string>& folders, const std::string& into);

}  // namespace evictbench
