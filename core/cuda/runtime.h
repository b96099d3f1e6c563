#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

// What the host asks of a card, and nothing else: memory, copies, launches, in the order of one stream. runtime_cuda.cpp
// asks CUDA; runtime_emulated.cpp is the host's own memory, for tests.
namespace evictbench::cuda {

struct Card {
  std::string name;  // "NVIDIA H200"
  int major = 0, minor = 0, processors = 0;
  std::size_t bytes = 0;  // of memory
};

struct Extent3 {
  unsigned x = 1, y = 1, z = 1;
};

struct Step;

class Runtime {
 public:
  static int cards();             // 0 where there is none, or no driver
  explicit Runtime(int ordinal);  // throws an Error (exit 2) where there is no such card
  ~Runtime();

  const Card& card() const;
  std::size_t free_bytes() const;  // now

  // All in the order of the stream. Failures of the card throw DeviceLost.
  void* allocate(std::size_t bytes);  // null where there is not so much; 256-byte aligned
  void release(void* p) noexcept;
  void* allocate_pinned(
      std::size_t bytes);  // of the host, where kernels reach it; null where there is not so much
  void release_pinned(void* p) noexcept;  // waits
  void zero(void* p, std::size_t bytes);
  void upload(void* to, const void* host, std::size_t bytes);      // `host` is free again on return
  void download(void* host, const void* from, std::size_t bytes);  // waits
  void copy(void* to, const void* from, std::size_t bytes);
  void run(Step step);  // core/cuda/recorder.h
  void wait();
  double seconds_of(const std::function<void()>& work);  // that the card spends on what `work` queues; waits

  // From begin_step() on, until end_steps(), what repeats from one decoding step to the next goes to the card as graphs:
  // only where graphs() (EVICTBENCH_CUDA_GRAPHS=1 in the environment).
  bool graphs() const;
  void begin_step();
  void end_steps();

  void* stream();            // cudaStream_t, for what is launched by others; all before it is under way
  void* raw_stream() const;  // the same, for a Step of kind kLibrary

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace evictbench::cuda
