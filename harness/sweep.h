#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datasets/task_options.h"
#include "harness/evaluate.h"

// The sweep file: what one run compares. Everything is checked here, before a weight is read; every refusal is an
// Error (exit 3) with file, line:column and path.
namespace evictbench {

struct SweepModel {
  std::string path;  // from the sweep file's folder
  std::string device = "cpu", compute = "f32", chat = "auto";
  std::optional<int> threads;
  std::optional<int> in_flight;     // examples that decode together
  bool allow_nonfinite = false;     // weights that are NaN or infinite are loaded all the same
  bool allow_other_scores = false;  // score files that were measured on another model are used all the same

  // A card is half idle while it decodes the points of one example.
  int examples_in_flight() const { return in_flight.value_or(device == "cuda" ? 4 : 1); }
};

struct SweepTask {
  std::string id;            // in records: the key `id`, or else the task's name; unique in a sweep
  std::optional<int> limit;  // the first examples only
  TaskOptions options;       // for make_dataset
};

struct Sweep {
  std::string file;
  SweepModel model;
  std::vector<Protocol>
      protocols;  // with the question after, the first token always comes from the evicted cache
  Continuation::Kind fidelity = Continuation::Kind::kNone;  // what it is measured along
  std::uint64_t seed = 42;
  std::vector<Point> points;  // policies x options x budgets, in file order; `full` is one point
  std::vector<SweepTask> tasks;
  std::string output;  // from the current folder
};

constexpr std::int64_t kMostPoints = 1'000'000;
constexpr int kMostInFlight = 64;

// `overrides`: what --set was given, "policies.0.window=8", applied in order before anything is checked.
Sweep load_sweep(const std::string& path, const std::vector<std::string>& overrides = {});

// The tasks and the seed alone, of a sweep file or of one that has no more than `version` and `tasks`: what is measured
// of `model` without any policy.
Sweep load_tasks(const std::string& path, const std::vector<std::string>& overrides, SweepModel model);
// Of a text that is called `name` in messages.
Sweep load_tasks_text(const std::string& text, const std::string& name,
                      const std::vector<std::string>& overrides, SweepModel model);

const char* name_of(Protocol::Question question);       // "inside"
const char* name_of(Protocol::FirstToken first_token);  // "evicted"
const char* name_of(Continuation::Kind fidelity);       // "answer"

std::string policy_name(const Point& point);  // "snapkv"

// XXH3-64, in hex, of all that can change the answer of a point to a prompt.
std::string point_id(const Point& point, const Protocol& protocol, const std::string& compute);

// What the sweep says about results, as ordered names and values for the manifest: no paths of model and output, no
// threads, no number of examples in flight.
std::vector<std::pair<std::string, std::string>> identity(const Sweep& sweep);
std::vector<std::pair<std::string, std::string>> identity(
    const std::vector<SweepTask>& tasks);  // its last part
// The seed and the tasks: what is measured on, for a sidecar.
std::vector<std::pair<std::string, std::string>> data_facts(const Sweep& sweep);

}  // namespace evictbench
