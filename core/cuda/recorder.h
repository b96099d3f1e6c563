#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/cuda/runtime.h"

namespace evictbench::cuda {

// Something that a stream does.
struct Step {
  enum class Kind { kKernel, kCopy, kZero, kLibrary };
  Kind kind = Kind::kKernel;
  // kKernel
  const void* kernel = nullptr;
  Extent3 grid{}, block{};
  std::size_t shared_bytes = 0;
  std::vector<std::byte> arguments{};  // one after the other, each aligned
  std::vector<std::size_t> offsets{};  // of each in `arguments`
  // kCopy, kZero
  void* to = nullptr;
  const void* from = nullptr;
  std::size_t bytes = 0;
  // kLibrary: what it does, told by `arguments`; and of a kernel in the emulator
  std::function<void()> run{};

  void add(const void* argument, std::size_t size, std::size_t alignment);
  bool same_node(const Step& other) const;  // one may take the other's place in a graph, by new parameters
  bool same(const Step& other) const;       // there is nothing to change
};

bool asks_for_graphs();  // EVICTBENCH_CUDA_GRAPHS=1 in the environment

// A CUDA graph that can be launched, of steps one after the other.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual bool update(std::size_t number, const Step& step) = 0;  // -> false: it must be built anew
  virtual void launch() = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
  virtual void run(const Step& step) = 0;
  virtual std::unique_ptr<Graph> build(std::span<const Step> steps) = 0;
};

// Turns what repeats from one decoding step to the next into graphs, so that the host no longer launches it piece by
// piece. Steps are held back, compared with those of the last time in the same place, and go to the stream in order: as
// a graph from the second time on, of which only what differs is told anew. What is pending must be flushed before
// the host waits, or looks at or gives away memory that it names.
class Recorder {
 public:
  static constexpr std::size_t kPiece = 64;  // steps of a graph: while one runs, the host is at the next

  explicit Recorder(Stream& stream) : stream_(stream) {}
  void begin();  // of a decoding step
  void add(Step step);
  void flush();

 private:
  struct Piece {
    std::vector<Step> steps;
    std::unique_ptr<Graph> graph;
  };

  Stream& stream_;
  std::vector<Piece> pieces_;  // as of the last time
  std::size_t next_ = 0;       // of them
  std::vector<Step> pending_;
};

}  // namespace evictbench::cuda
