#include "core/cuda/attend_half.h"

#include <vector>

namespace evictbench::cuda {
namespace {

// Up to here a task is split over its lane: its rows alone would not fill a tile, nor its tiles a card.
constexpr int kFewRows = 32;

}  // namespace

bool attends_half(const AttendTask& task, int dim) {
  return !task.probabilities && !task.lane.base.bias && !task.lane.tail.bias && !task.lane.tail.present &&
         dim % 16 == 0 && dim <= 256;
}

void attend_half(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                 Tensor& log_sums) {
  std::vector<AttendTask> few, many;
  for (const AttendTask& task : tasks) {
    require(attends_half(task, queries.dim(2)), "attention in two bytes: not such a task");
    (task.rows * task.heads <= kFewRows ? few : many).push_back(task);
  }
  if (!many.empty()) attend_prefill(device, many, queries, out, log_sums);
  if (!few.empty()) attend_ragged(device, few, queries, out, log_sums);
}

}  // namespace evictbench::cuda
