#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/plan.h"
#include "harness/sidecar.h"
#include "reports/aggregate.h"

// The calibration files that policies name, held against their sidecars before anything runs.
namespace evictbench {

struct CheckedScores {
  ScoreFile file;
  std::optional<Sidecar> sidecar;  // none: a published file, of which nothing more is known
  bool other_model = false;        // measured on another model, which was allowed
};

// Errors (exit 4): a sidecar of another file's scores, of another model (unless `allow_other`), or of scores that the
// option does not take. `model` is asked only where there is a sidecar: it reads all weights of the checkpoint.
CheckedScores check_scores(const ScoreFile& file, const std::function<ModelMark()>& model, bool allow_other);

// Of all points, each file once for each option, in order of the points.
std::vector<CheckedScores> check_scores(std::span<const Point> points,
                                        const std::function<ModelMark()>& model, bool allow_other);

std::string describe(const CheckedScores& scores);  // in a line, for the manifest

// What a reader must be warned of: scores without a sidecar, among them those that name a dataset of the sweep, and those
// of another model.
std::vector<std::string> warnings_of(const CheckedScores& scores, std::span<const SweepTask> tasks);

// How many of each task's examples the score files of each policy were measured on, where there are any.
std::vector<Leak> leaks_of(const Plan& plan, std::span<const CheckedScores> scores);

}  // namespace evictbench
