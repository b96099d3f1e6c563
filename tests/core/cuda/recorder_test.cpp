// What repeats becomes a graph; whatever comes, every step is done once, in order.
#include "core/cuda/recorder.h"

#include <gtest/gtest.h>

#include <string>

namespace evictbench::cuda {
namespace {

// Writes down what reaches the stream. A step is told apart by `bytes`.
class Log final : public Stream {
 public:
  void run(const Step& step) override { done += std::to_string(step.bytes) + " "; }
  std::unique_ptr<Graph> build(std::span<const Step> steps) override {
    ++built;
    return std::make_unique<Copy>(*this, steps);
  }

  std::string done;
  int built = 0, launched = 0, updated = 0;
  bool refuses = false;  // updates

 private:
  class Copy final : public Graph {
   public:
    Copy(Log& log, std::span<const Step> steps) : log_(log), steps_(steps.begin(), steps.end()) {}
    bool update(std::size_t number, const Step& step) override {
      if (log_.refuses) return false;
      ++log_.updated;
      steps_[number] = step;
      return true;
    }
    void launch() override {
      ++log_.launched;
      for (const Step& step : steps_) log_.run(step);
    }

   private:
    Log& log_;
    std::vector<Step> steps_;
  };
};

const int kKernels[3] = {};

Step step(int kernel, std::size_t number) {
  Step s{.kernel = &kKernels[kernel], .bytes = number};
  s.add(&number, sizeof number, alignof(std::size_t));
  return s;
}

// A decoding step of `count` kernels, numbered from `first` on.
void feed(Recorder& recorder, std::size_t first, std::size_t count, int kernel = 0) {
  recorder.begin();
  for (std::size_t i = 0; i < count; ++i) recorder.add(step(kernel, first + i));
  recorder.flush();
}

std::string numbers(std::size_t first, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += std::to_string(first + i) + " ";
  return all;
}

TEST(Recorder, ARepeatedStepIsAGraphFromTheSecondTimeOn) {
  Log log;
  Recorder recorder(log);
  feed(recorder, 0, 3);
  EXPECT_EQ(log.built, 0);
  feed(recorder, 0, 3);
  EXPECT_EQ(log.built, 1);
  feed(recorder, 0, 3);
  EXPECT_EQ(log.built, 1);
  EXPECT_EQ(log.launched, 2);
  EXPECT_EQ(log.updated, 0);
  EXPECT_EQ(log.done, numbers(0, 3) + numbers(0, 3) + numbers(0, 3));
}

TEST(Recorder, OnlyWhatDiffersIsToldAnew) {
  Log log;
  Recorder recorder(log);
  feed(recorder, 0, 3);
  feed(recorder, 0, 3);
  recorder.begin();
  for (const std::size_t number : {0, 7, 2}) recorder.add(step(0, number));
  recorder.flush();
  EXPECT_EQ(log.updated, 1);
  EXPECT_EQ(log.built, 1);
  EXPECT_TRUE(log.done.ends_with("0 7 2 ")) << log.done;
}

TEST(Recorder, AGraphThatCannotBeChangedIsBuiltAnew) {
  Log log;
  log.refuses = true;
  Recorder recorder(log);
  for (std::size_t i = 0; i < 4; ++i) feed(recorder, i, 2);
  EXPECT_EQ(log.built, 3);
  EXPECT_EQ(log.done, numbers(0, 2) + numbers(1, 2) + numbers(2, 2) + numbers(3, 2));
}

TEST(Recorder, AnotherStepRunsAsItIs) {
  Log log;
  Recorder recorder(log);
  feed(recorder, 0, 3);
  feed(recorder, 0, 3);
  feed(recorder, 10, 3, 1);  // other kernels
  EXPECT_EQ(log.launched, 1);
  feed(recorder, 10, 2, 1);  // fewer
  feed(recorder, 20, 4, 1);  // more
  EXPECT_EQ(log.launched, 1);
  EXPECT_EQ(log.done, numbers(0, 3) + numbers(0, 3) + numbers(10, 3) + numbers(10, 2) + numbers(20, 4));
}

TEST(Recorder, LongStepsAreSeveralGraphs) {
  constexpr std::size_t kMany = 2 * Recorder::kPiece + 5;
  Log log;
  Recorder recorder(log);
  std::string expected;
  for (std::size_t i = 0; i < 3; ++i) {
    feed(recorder, i, kMany);
    expected += numbers(i, kMany);
  }
  EXPECT_EQ(log.built, 3);
  EXPECT_EQ(log.launched, 6);
  EXPECT_EQ(log.done, expected);
}

TEST(Recorder, AFlushInTheMiddleKeepsTheOrder) {
  Log log;
  Recorder recorder(log);
  for (int i = 0; i < 3; ++i) {
    recorder.begin();
    recorder.add(step(0, 1));
    recorder.flush();
    recorder.flush();
    recorder.add(step(1, 2));
    recorder.add(step(2, 3));
    recorder.flush();
  }
  EXPECT_EQ(log.done, "1 2 3 1 2 3 1 2 3 ");
  EXPECT_EQ(log.built, 2);
}

TEST(Recorder, ArgumentsKeepTheirAlignment) {
  Step s;
  const char letter = 'x';
  const double number = 2;
  s.add(&letter, 1, 1);
  s.add(&number, 8, 8);
  EXPECT_EQ(s.offsets, (std::vector<std::size_t>{0, 8}));
  EXPECT_EQ(s.arguments.size(), 16u);
}

}  // namespace
}  // namespace evictbench::cuda
