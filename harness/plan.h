#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/shape.h"
#include "datasets/dataset.h"
#include "harness/journal.h"
#include "harness/shard.h"
#include "harness/sweep.h"

// The resolved list of what to run, known before a weight is read.
namespace evictbench {

struct MemoryForecast;  // harness/memory.h

struct PlanTask {
  std::string id;  // as in the records
  std::shared_ptr<const Dataset> dataset;
  std::vector<Example> examples;
  std::vector<int> tokens;  // of each example's prompt, everything included
  std::vector<int> beside;  // of these, all but the context
  std::size_t entry = 0;    // of the sweep's tasks, the one that it belongs to
};

// One prefill; every point of the plan runs on it.
struct PlanUnit {
  std::size_t task = 0, example = 0;
  std::size_t protocol = 0;
};

struct Plan {
  std::vector<PlanTask> tasks;
  std::vector<Protocol> protocols;
  std::vector<Point> points;
  std::string compute;
  Continuation::Kind fidelity = Continuation::Kind::kNone;
  int in_flight = 1;  // examples that decode together
  Shard shard = {};

  std::vector<PlanUnit> units() const;  // of the shard, by task, then protocol, then example
  std::vector<RecordKey> keys() const;  // of the records, in the order of the journal: units, then points
  std::int64_t cells() const;           // records of all shards: units x points
};

// Reads the tasks' data.
Plan make_plan(const Sweep& sweep, const TokenCounter& count);

// What a point will keep of a prompt of `shape`, so far as is known before scores are: the total, not which lane. What a
// published variant over- or underspends by its rounding shows in the records only.
struct Share {
  std::int64_t entries = 0;  // of all lanes, also where every query head has one
  double mean = 0;           // entries per lane
  std::int64_t bytes = 0;    // keys and values, as the shape has them
  bool whole = false;        // the budget holds the whole prompt
};
Share predict(const Point& point, const KvShape& shape);

std::string in_units(std::int64_t bytes);  // "1.5 GB"

// For `evictbench plan`: every point with its share and bytes for each prompt length. `shape`: of the model, T aside.
std::string describe(const Plan& plan, const KvShape& shape, const MemoryForecast& memory);
std::string describe_json(const Plan& plan, const KvShape& shape, const MemoryForecast& memory);

}  // namespace evictbench
