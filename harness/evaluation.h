#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "harness/decoding.h"
#include "harness/evaluate.h"
#include "harness/feeding.h"

namespace evictbench {

// One example on its way through evaluate(), in its stages: what that function and examples in flight share. What it is
// given is the caller's, and stays while this lives.
class Evaluation {
 public:
  // One full prefill, and what every point keeps of it. `alone`: as in Prefilled.
  Evaluation(Device& device, const Model& model, const Prompt& prompt, std::span<const Point> points,
             const Protocol& protocol, const DecodeLimits& limits, Timing& time,
             const std::function<void()>& checkpoint, bool alone);
  Evaluation(const Evaluation&) = delete;

  Answering& answering() { return answering_; }
  const std::vector<std::size_t>& alive() const { return alive_; }  // points that are to decode

  // Whether a part of the prompt's keys and values found no place on the device.
  bool spilled() const { return spilled_; }

  // When they have decoded: how near the points stay to the full cache, if asked. -> the answers
  std::vector<Answer> finish(const Continuation& continuation);

 private:
  std::shared_ptr<const Snapshot> prefill(Device& device, const Model& model,
                                          const std::function<void()>& checkpoint);
  void select();
  std::size_t add_fidelity(const Continuation& continuation);
  Answer full_answer() const;

  Feed feed_;
  std::span<const Point> points_;
  Timing& time_;
  bool spilled_ = false;
  Prefilled example_;
  std::vector<Kept> kept_;          // [P]
  std::vector<Answer> answers_;     // [P]
  std::vector<std::size_t> alive_;  // indices of points
  Answering answering_;
};

}  // namespace evictbench
