#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "harness/evaluate.h"

// Several examples at a time: points of all of them decode in one batch, and where an example's last point has ended, the
// next one is prefilled and joins. Nothing of it shows in an answer.
namespace evictbench {

// One prefill and all its points, as evaluate() takes them.
struct Unit {
  Prompt prompt;
  std::vector<Point> points;
  Protocol protocol;
  DecodeLimits limits;
  Continuation continuation = {};
};

struct Outcome {
  std::vector<Answer> answers;  // [points] of evaluate(), or, where that throws, with its error
  Timing timing;
  std::uint64_t prompt_hash = 0;
};

struct Schedule {
  std::size_t units = 0;
  std::function<Unit(std::size_t unit)> unit;  // asked when a unit begins, and again if it has to begin anew
  // Told of every unit in order: at once when the unit has ended and all before it have.
  std::function<void(std::size_t unit, const Outcome&)> done;
};

// Evaluates all units, at most `in_flight` at a time; one at a time is evaluate(), again and again. Caches of points that
// decode together stay within the batch_bytes of whoever joins. Where the device has not the memory for so many examples,
// those that are open begin anew and fewer are from then on. What throws is a stop from `checkpoint`, a lost device, or
// the schedule.
void evaluate_in_flight(Device& device, const Model& model, const Schedule& schedule, int in_flight,
                        const std::function<void()>& checkpoint);

}  // namespace evictbench
