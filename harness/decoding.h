#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "harness/evaluate.h"
#include "harness/feeding.h"

namespace evictbench {

// An example whose points decode. What it refers to is the caller's, and stays while they do.
struct Answering {
  const Prefilled& example;
  std::span<const Point> points;
  std::span<const Kept> kept;
  std::span<Answer> answers;  // [P] each without its tokens until the point ends
  Timing& time;
  std::vector<bool> ended = std::vector<bool>(answers.size());  // [P]
  std::size_t decoding = 0;                                     // points that do at present

  int room() const { return static_cast<int>(example.feed.tokens.size()) + example.limits.max_new; }
  std::size_t bytes(std::size_t point) const {  // of its cache
    return cache_bytes(kept[point], example.shape(), room());
  }
};

// Points of one example or of several that decode greedily together, a cache each; one that ends leaves at once. What a
// point answers depends on no other. Where a call throws OutOfMemory, points(), bytes() and fail() are all that is left of it.
class Decoding {
 public:
  Decoding(Device& device, const Model& model, const std::function<void()>& checkpoint)
      : device_(device), feeder_(device, model, checkpoint) {}

  // Points of an example join: the first of `waiting` whose caches fit into `most_bytes` together with those that are
  // there, one at least if there are none. They leave `waiting`.
  void join(Answering& example, std::vector<std::size_t>& waiting, std::size_t most_bytes);
  // Feeds every point, all in one extend. Its time is divided among the examples by the rows that each has in it.
  void step();

  std::size_t points() const { return rows_.size(); }
  std::size_t bytes() const;          // of their caches
  void fail(const std::string& why);  // every point

 private:
  struct Row {
    Answering* example;
    std::size_t point, bytes;
    Answer answer;
    Tokens next;  // to be fed; none: the answer is complete
  };
  void hear(Row& row, std::int32_t token, const Tensor& logits, std::size_t at);
  void ask_rule(std::size_t r);
  void divide(double seconds);
  void leave();

  Device& device_;
  Feeder feeder_;
  std::vector<Row> rows_;  // in the order of the feeder's points
};

// Answers of the points `alive`, as many of them together as fit; where the device has not the memory for those, fewer.
void answer_all(Answering& example, const std::vector<std::size_t>& alive);

}  // namespace evictbench
