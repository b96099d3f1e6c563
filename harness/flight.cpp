#include "harness/flight.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "core/device_errors.h"
#include "harness/decoding.h"
#include "harness/evaluation.h"

namespace evictbench {
namespace {

// A stop, or a device that is lost, ends the run; anything else is the failure of one example.
bool ends_all(const Error& error) {
  return error.exit() == Exit::kInterrupted || error.exit() == Exit::kTerminated ||
         dynamic_cast<const DeviceLost*>(&error) != nullptr;
}

Outcome failed(const Unit& unit, const Timing& timing, const std::string& why) {
  Answer none;
  none.error = why;
  return {std::vector<Answer>(unit.points.size(), none), timing, unit.prompt.hash()};
}

class Flight {
 public:
  Flight(Device& device, const Model& model, const Schedule& schedule, int in_flight,
         const std::function<void()>& checkpoint)
      : device_(device),
        model_(model),
        schedule_(schedule),
        checkpoint_(checkpoint),
        in_flight_(static_cast<std::size_t>(in_flight)) {
    for (std::size_t number = 0; number < schedule.units; ++number) pending_.insert(number);
    decoding_.emplace(device, model, checkpoint);
  }

  void all() {
    while (!pending_.empty() || !open_.empty()) {
      if (checkpoint_) checkpoint_();
      refill();
      decode();
      land();
    }
  }

 private:
  struct Open {  // an example in flight
    Open(std::size_t which, Unit what) : number(which), unit(std::move(what)) {}
    bool ended() { return waiting.empty() && evaluation->answering().decoding == 0; }

    std::size_t number;
    Unit unit;
    Timing timing;
    std::optional<Evaluation> evaluation;
    std::vector<std::size_t> waiting;  // points whose caches did not fit yet
  };

  bool alone(std::size_t number) const { return in_flight_ == 1 || number < alone_before_; }

  // Opens examples while there is room for their points.
  void refill() {
    while (!pending_.empty() && open_.size() < in_flight_ &&
           std::ranges::all_of(open_, [](const auto& open) { return open->waiting.empty(); })) {
      const std::size_t number = *pending_.begin();
      if (!alone(number)) {
        if (!open(number)) return;
      } else if (open_.empty()) {
        evaluate_alone(number);
      } else {
        return;
      }
      if (open_.empty()) return;
    }
  }

  // -> false: the device has not the memory for one more
  bool open(std::size_t number) {
    auto opening = std::make_unique<Open>(number, schedule_.unit(number));
    const Unit& unit = opening->unit;
    note_peak(device_.peak_bytes());
    bool fits = true;
    try {
      opening->evaluation.emplace(device_, model_, unit.prompt, unit.points, unit.protocol, unit.limits,
                                  opening->timing, checkpoint_, /*alone=*/false);
      // What a device spills to host memory slows every step: better wait for those that take its place.
      fits = open_.empty() || !opening->evaluation->spilled();
    } catch (const OutOfMemory&) {
      fits = false;
    } catch (const Error& error) {
      if (ends_all(error)) throw;
      finish(number, failed(unit, opening->timing, error.what()));
      return true;
    }
    if (!fits) {
      if (open_.empty())
        alone_before_ = number + 1;
      else
        be_fewer(open_.size());
      return false;
    }
    note_peak(opening->timing.peak_bytes);
    opening->waiting = opening->evaluation->alive();
    pending_.erase(number);
    open_.push_back(std::move(opening));
    return true;
  }

  // One step of all points, those that find room now included.
  void decode() {
    try {
      for (const auto& open : open_)
        decoding_->join(open->evaluation->answering(), open->waiting, open->unit.limits.batch_bytes);
      decoding_->step();
    } catch (const OutOfMemory&) {
      begin_anew(/*fewer=*/true);
    } catch (const Error& error) {
      if (ends_all(error)) throw;
      begin_anew(/*fewer=*/false);
    }
  }

  // Examples whose points have all ended leave.
  void land() {
    for (std::size_t i = 0; i < open_.size();) {
      Open& open = *open_[i];
      if (!open.ended()) {
        ++i;
        continue;
      }
      Outcome outcome{{}, {}, open.unit.prompt.hash()};
      try {
        outcome.answers = open.evaluation->finish(open.unit.continuation);
        outcome.timing = open.timing;
        note_peak(open.timing.peak_bytes);
      } catch (const OutOfMemory&) {
        return begin_anew(/*fewer=*/true);
      } catch (const Error& error) {
        if (ends_all(error)) throw;
        outcome = failed(open.unit, open.timing, error.what());
      }
      const std::size_t number = open.number;
      open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
      finish(number, std::move(outcome));
    }
  }

  void evaluate_alone(std::size_t number) {
    const Unit unit = schedule_.unit(number);
    Outcome outcome{{}, {}, unit.prompt.hash()};
    try {
      outcome.answers = evaluate(device_, model_, unit.prompt, unit.points, unit.protocol, unit.limits,
                                 &outcome.timing, checkpoint_, unit.continuation);
    } catch (const Error& error) {
      if (ends_all(error)) throw;
      outcome = failed(unit, outcome.timing, error.what());
    }
    finish(number, std::move(outcome));
  }

  void finish(std::size_t number, Outcome outcome) {
    pending_.erase(number);
    finished_.emplace(number, std::move(outcome));
    for (auto next = finished_.begin(); next != finished_.end() && next->first == told_; ++told_) {
      schedule_.done(next->first, next->second);
      next = finished_.erase(next);
    }
  }

  // A step that failed leaves caches half written. What failed was one example's doing, or memory that fewer may not need;
  // an example alone is left to evaluate(), which knows what to do about either.
  void begin_anew(bool fewer) {
    if (fewer && open_.size() > 1)
      be_fewer(open_.size() / 2);
    else
      for (const auto& open : open_) alone_before_ = std::max(alone_before_, open->number + 1);
    decoding_.emplace(device_, model_, checkpoint_);
    for (const auto& open : open_) pending_.insert(open->number);
    open_.clear();
  }

  void be_fewer(std::size_t most) {
    spdlog::info("not enough memory for {} examples in flight; {} from here on", in_flight_, most);
    in_flight_ = most;
  }

  void note_peak(std::size_t bytes) {
    for (const auto& open : open_) open->timing.peak_bytes = std::max(open->timing.peak_bytes, bytes);
  }

  Device& device_;
  const Model& model_;
  const Schedule& schedule_;
  const std::function<void()>& checkpoint_;
  std::size_t in_flight_;         // at most
  std::size_t alone_before_ = 0;  // units before this one are evaluated with no other in flight
  std::set<std::size_t> pending_;
  std::vector<std::unique_ptr<Open>> open_;
  std::optional<Decoding> decoding_;         // of the points of `open_`
  std::map<std::size_t, Outcome> finished_;  // that wait for one before them
  std::size_t told_ = 0;                     // units so far
};

}  // namespace

void evaluate_in_flight(Device& device, const Model& model, const Schedule& schedule, int in_flight,
                        const std::function<void()>& checkpoint) {
  Flight(device, model, schedule, in_flight, checkpoint).all();
}

}  // namespace evictbench
