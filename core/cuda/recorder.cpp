#include "core/cuda/recorder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace evictbench::cuda {
namespace {

bool equal(const Extent3& a, const Extent3& b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

}  // namespace

bool asks_for_graphs() {
  const char* told = std::getenv("EVICTBENCH_CUDA_GRAPHS");
  return told != nullptr && std::string_view(told) == "1";
}

void Step::add(const void* argument, std::size_t size, std::size_t alignment) {
  const std::size_t at = (arguments.size() + alignment - 1) / alignment * alignment;
  arguments.resize(at + size);
  std::memcpy(arguments.data() + at, argument, size);
  offsets.push_back(at);
}

bool Step::same_node(const Step& other) const {
  return kind == other.kind && kernel == other.kernel && equal(block, other.block) &&
         shared_bytes == other.shared_bytes && offsets == other.offsets &&
         arguments.size() == other.arguments.size();
}

bool Step::same(const Step& other) const {
  return same_node(other) && equal(grid, other.grid) && arguments == other.arguments && to == other.to &&
         from == other.from && bytes == other.bytes;
}

void Recorder::begin() {
  flush();
  next_ = 0;
}

void Recorder::add(Step step) {
  pending_.push_back(std::move(step));
  if (pending_.size() == kPiece) flush();
}

void Recorder::flush() {
  if (pending_.empty()) return;
  if (next_ == pieces_.size()) pieces_.emplace_back();
  Piece& piece = pieces_[next_++];
  const std::vector<Step> steps = std::exchange(pending_, {});
  const bool again = std::ranges::equal(steps, piece.steps, &Step::same_node);
  bool told = again && piece.graph != nullptr;
  for (std::size_t i = 0; told && i < steps.size(); ++i)
    told = steps[i].same(piece.steps[i]) || piece.graph->update(i, steps[i]);
  if (!told) piece.graph = again ? stream_.build(steps) : nullptr;
  if (piece.graph)
    piece.graph->launch();
  else
    for (const Step& step : steps) stream_.run(step);
  piece.steps = steps;
}

}  // namespace evictbench::cuda
