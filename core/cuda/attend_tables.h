#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "core/cuda/launch.h"
#include "core/ops.h"

// The host's side of attention in two bytes: what a row sees, and tables for the kernels.
namespace evictbench::cuda {

// Entries [from, to) of a lane, counted over base and tail.
struct Seen {
  std::int32_t from, to;
};

// What the tokens of a task see, by token; both ends ascend.
inline void append_seen(const AttendTask& task, std::vector<Seen>& to) {
  const Run &base = task.lane.base, &tail = task.lane.tail;
  const auto position_of = [&](int e) {
    return e < base.entries ? base.positions[e] : tail.positions[e - base.entries];
  };
  const auto up_to = [](const Run& run, std::int32_t position) {
    return static_cast<int>(std::upper_bound(run.positions, run.positions + run.entries, position) -
                            run.positions);
  };
  const auto entries_up_to = [&](std::int32_t position) {
    return tail.entries > 0 && tail.positions[0] <= position ? base.entries + up_to(tail, position)
                                                             : up_to(base, position);
  };
  const int entries = base.entries + tail.entries, window = task.form.window;
  Seen seen{window > 0 ? entries_up_to(task.position - window) : 0, entries_up_to(task.position)};
  for (int token = 0; token < task.rows; ++token) {
    const std::int32_t position = task.position + token;
    while (seen.to < entries && position_of(seen.to) <= position) ++seen.to;
    while (window > 0 && seen.from < seen.to && position_of(seen.from) <= position - window) ++seen.from;
    require(seen.to > seen.from, "attention over nothing");
    to.push_back(seen);
  }
}

// Two tasks whose tokens see the same.
inline bool see_the_same(const AttendTask& a, const AttendTask& b) {
  const auto same = [](const Run& x, const Run& y) {
    return x.positions == y.positions && x.entries == y.entries;
  };
  return same(a.lane.base, b.lane.base) && same(a.lane.tail, b.lane.tail) && a.rows == b.rows &&
         a.position == b.position && a.form.window == b.form.window;
}

// A task as a kernel sees it. Rows are counted token by token, head by head.
struct HalfTask {
  const void *keys[2], *values[2];  // of base and tail
  std::int32_t entries[2];
  std::int64_t mask;  // where the words of the base's bits begin, or -1: all are present
  std::int32_t first_row, first_head, heads;
  std::int32_t rows;  // tokens x heads
  std::int32_t seen;  // of its first token, in the table of what tokens see
  float softcap;
};

// Everything a kernel needs from the host, in one upload.
class Tables {
 public:
  template <class T>
  std::size_t add(std::span<const T> items) {
    const std::size_t at = (bytes_.size() + 15) / 16 * 16;
    bytes_.resize(at + items.size_bytes());
    if (!items.empty()) std::memcpy(bytes_.data() + at, items.data(), items.size_bytes());
    return at;
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// The tasks of a call, what their tokens see, and their masks.
struct HalfTasks {
  HalfTasks(std::span<const AttendTask> from, const Tensor& queries) {
    for (const AttendTask& task : from) {
      const auto& [base, tail] = task.lane;
      require(base.entries == 0 || base.dtype == queries.dtype(), "attention: another type of keys");
      require(tail.entries == 0 || tail.dtype == queries.dtype(), "attention: another type of keys");
      if (tasks.empty() || !see_the_same(from[tasks.size() - 1], task)) {
        first_seen = static_cast<std::int32_t>(seen.size());
        append_seen(task, seen);
      }
      const auto mask = base.present ? static_cast<std::int64_t>(words.size()) : -1;
      if (base.present) words.insert(words.end(), base.present, base.present + (base.entries + 63) / 64);
      tasks.push_back({{base.keys, tail.keys},
                       {base.values, tail.values},
                       {base.entries, tail.entries},
                       mask,
                       task.first_row,
                       task.first_head,
                       task.heads,
                       task.rows * task.heads,
                       first_seen,
                       task.form.softcap});
    }
  }
  // Entries that any row of a task sees.
  Seen all_of(std::size_t task) const {
    const HalfTask& t = tasks[task];
    const auto first = static_cast<std::size_t>(t.seen);
    return {seen[first].from, seen[first + static_cast<std::size_t>(t.rows / t.heads - 1)].to};
  }

  std::vector<HalfTask> tasks;
  std::vector<Seen> seen;            // of tokens
  std::vector<std::uint64_t> words;  // of masks

 private:
  std::int32_t first_seen = 0;
};

}  // namespace evictbench::cuda
