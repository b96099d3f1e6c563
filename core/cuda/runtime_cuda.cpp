#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "core/cuda/recorder.h"
#include "core/cuda/runtime.h"
#include "core/device_errors.h"

namespace evictbench::cuda {
namespace {

constexpr std::size_t kStagingBytes = std::size_t{8} << 20;  // of one piece on its way to the card
constexpr std::size_t kStagings = 4;
constexpr std::size_t kPlainShared = std::size_t{32}
                                     << 10;  // dynamic shared memory that needs no asking, whatever is static

// Every failure but a lack of memory is taken for the end of the card's context: most are.
void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  throw DeviceLost(fmt::format("the CUDA card failed in {}: {} ({})", what, cudaGetErrorString(error),
                               cudaGetErrorName(error)));
}

struct Moment {
  Moment() { check(cudaEventCreate(&event), "cudaEventCreate"); }
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;
  ~Moment() { cudaEventDestroy(event); }
  cudaEvent_t event = nullptr;
};

// Page-locked memory through which uploads go, so that the host's own is free again at once.
class Staging {
 public:
  Staging() {
    for (Piece& piece : pieces_) {
      check(cudaMallocHost(&piece.data, kStagingBytes), "cudaMallocHost");
      check(cudaEventCreateWithFlags(&piece.free, cudaEventDisableTiming), "cudaEventCreate");
    }
  }
  ~Staging() {
    for (Piece& piece : pieces_) {
      cudaFreeHost(piece.data);
      cudaEventDestroy(piece.free);
    }
  }
  // Calls copy(from, done, part) for each part of the host's bytes, which then lies at `from`; before() is called where the
  // stream must have begun all copies so far.
  template <class Before, class Copy>
  void pass(const void* host, std::size_t bytes, cudaStream_t stream, const Before& before,
            const Copy& copy) {
    for (std::size_t done = 0; done < bytes;) {
      if (used_ == kStagingBytes) {
        before();
        turn(stream);
      }
      const std::size_t part = std::min(bytes - done, kStagingBytes - used_);
      char* here = static_cast<char*>(pieces_[now_].data) + used_;
      std::memcpy(here, static_cast<const char*>(host) + done, part);
      copy(here, done, part);
      used_ = std::min(kStagingBytes, (used_ + part + 255) / 256 * 256);
      done += part;
    }
  }

 private:
  struct Piece {
    void* data = nullptr;
    cudaEvent_t free = nullptr;
  };
  void turn(cudaStream_t stream) {
    check(cudaEventRecord(pieces_[now_].free, stream), "cudaEventRecord");
    now_ = (now_ + 1) % kStagings;
    check(cudaEventSynchronize(pieces_[now_].free), "cudaEventSynchronize");
    used_ = 0;
  }

  std::array<Piece, kStagings> pieces_;
  std::size_t now_ = 0, used_ = 0;
};

Card choose(int ordinal) {
  check(cudaSetDevice(ordinal), "cudaSetDevice");
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  return {properties.name, properties.major, properties.minor, properties.multiProcessorCount,
          properties.totalGlobalMem};
}

void** pointers_of(const Step& step, std::vector<void*>& pointers) {
  pointers.clear();
  for (const std::size_t offset : step.offsets)
    pointers.push_back(const_cast<std::byte*>(step.arguments.data()) + offset);
  return pointers.data();
}

dim3 dim_of(const Extent3& e) { return {e.x, e.y, e.z}; }

class CudaGraph final : public Graph {
 public:
  CudaGraph(std::span<const Step> steps, cudaStream_t stream) : stream_(stream) {
    check(cudaGraphCreate(&graph_, 0), "cudaGraphCreate");
    for (const Step& step : steps) {
      cudaGraphNode_t node = nullptr;
      add(step, &node);
      nodes_.push_back(node);
    }
    check(cudaGraphInstantiate(&executable_, graph_, 0), "cudaGraphInstantiate");
  }
  ~CudaGraph() override {
    if (executable_) cudaGraphExecDestroy(executable_);
    cudaGraphDestroy(graph_);
  }

  bool update(std::size_t number, const Step& step) override {
    cudaGraphNode_t node = nodes_[number];
    cudaError_t error = cudaErrorGraphExecUpdateFailure;
    if (step.kind == Step::Kind::kKernel) {
      const cudaKernelNodeParams how = kernel_of(step);
      error = cudaGraphExecKernelNodeSetParams(executable_, node, &how);
    } else if (step.kind == Step::Kind::kCopy) {
      error = cudaGraphExecMemcpyNodeSetParams1D(executable_, node, step.to, step.from, step.bytes,
                                                 cudaMemcpyDefault);
    } else if (step.kind == Step::Kind::kZero) {
      const cudaMemsetParams how = zero_of(step);
      error = cudaGraphExecMemsetNodeSetParams(executable_, node, &how);
    }
    if (error != cudaSuccess) cudaGetLastError();  // it is built anew
    return error == cudaSuccess;
  }
  void launch() override { check(cudaGraphLaunch(executable_, stream_), "cudaGraphLaunch"); }

 private:
  cudaKernelNodeParams kernel_of(const Step& step) {
    cudaKernelNodeParams how{};
    how.func = const_cast<void*>(step.kernel);
    how.gridDim = dim_of(step.grid);
    how.blockDim = dim_of(step.block);
    how.sharedMemBytes = static_cast<unsigned>(step.shared_bytes);
    how.kernelParams = pointers_of(step, pointers_);
    return how;
  }
  static cudaMemsetParams zero_of(const Step& step) {
    cudaMemsetParams how{};
    how.dst = step.to;
    how.elementSize = 1;
    how.width = step.bytes;
    how.height = 1;
    return how;
  }
  // One behind the other.
  void add(const Step& step, cudaGraphNode_t* node) {
    const cudaGraphNode_t* before = nodes_.empty() ? nullptr : &nodes_.back();
    const std::size_t count = nodes_.empty() ? 0 : 1;
    if (step.kind == Step::Kind::kKernel) {
      const cudaKernelNodeParams how = kernel_of(step);
      check(cudaGraphAddKernelNode(node, graph_, before, count, &how), "cudaGraphAddKernelNode");
    } else if (step.kind == Step::Kind::kCopy) {
      check(cudaGraphAddMemcpyNode1D(node, graph_, before, count, step.to, step.from, step.bytes,
                                     cudaMemcpyDefault),
            "cudaGraphAddMemcpyNode1D");
    } else if (step.kind == Step::Kind::kZero) {
      const cudaMemsetParams how = zero_of(step);
      check(cudaGraphAddMemsetNode(node, graph_, before, count, &how), "cudaGraphAddMemsetNode");
    } else {
      cudaGraph_t inner = nullptr;  // what the library launches, captured
      check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
      step.run();
      check(cudaStreamEndCapture(stream_, &inner), "cudaStreamEndCapture");
      check(cudaGraphAddChildGraphNode(node, graph_, before, count, inner), "cudaGraphAddChildGraphNode");
      check(cudaGraphDestroy(inner), "cudaGraphDestroy");
    }
  }

  cudaStream_t stream_;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
  std::vector<cudaGraphNode_t> nodes_;
  std::vector<void*> pointers_;
};

}  // namespace

struct Runtime::State final : Stream {
  explicit State(int ordinal) : card(choose(ordinal)) {  // before anything else takes a card
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    cudaMemPoolProps how{};
    how.allocType = cudaMemAllocationTypePinned;
    how.location = {cudaMemLocationTypeDevice, ordinal};
    check(cudaMemPoolCreate(&pool, &how), "cudaMemPoolCreate");
    std::uint64_t keep = ~std::uint64_t{0};  // what is released stays for the next allocation
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute");
  }
  ~State() {
    cudaStreamSynchronize(stream);
    cudaMemPoolDestroy(pool);
    cudaStreamDestroy(stream);
  }

  void run(const Step& step) override {
    if (step.kind == Step::Kind::kCopy) {
      check(cudaMemcpyAsync(step.to, step.from, step.bytes, cudaMemcpyDefault, stream), "a copy");
    } else if (step.kind == Step::Kind::kZero) {
      check(cudaMemsetAsync(step.to, 0, step.bytes, stream), "cudaMemsetAsync");
    } else if (step.kind == Step::Kind::kLibrary) {
      step.run();
    } else {
      const cudaError_t error = with_room([&] {
        return cudaLaunchKernel(step.kernel, dim_of(step.grid), dim_of(step.block),
                                pointers_of(step, pointers), step.shared_bytes, stream);
      });
      check(error, "a launch");
    }
  }
  std::unique_ptr<Graph> build(std::span<const Step> steps) override {
    return std::make_unique<CudaGraph>(steps, stream);
  }
  // The first use of a kernel loads its code, outside our pool: where that has no room, what the pool holds back goes.
  template <class Use>
  cudaError_t with_room(const Use& use) {
    const cudaError_t error = use();
    if (error != cudaErrorMemoryAllocation) return error;
    cudaGetLastError();
    check(cudaStreamSynchronize(stream), "a kernel");
    check(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
    return use();
  }
  void let_share(const void* kernel, std::size_t bytes) {
    if (bytes <= kPlainShared || bytes <= shared[kernel]) return;
    check(with_room([&] {
            return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(bytes));
          }),
          "cudaFuncSetAttribute");
    shared[kernel] = bytes;
  }

  Card card;
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
  Staging staging;
  std::vector<void*> pointers;  // of the arguments of a launch
  bool graphs = asks_for_graphs(), recording = false;
  std::map<const void*, std::size_t> shared;  // bytes that a kernel may ask for, where more than kPlainShared
  Recorder recorder{*this};
};

int Runtime::cards() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

Runtime::Runtime(int ordinal) {
  if (ordinal < 0 || ordinal >= cards())
    reject(Exit::kUsage, {"E-CL-04", "this machine", "", fmt::format("{} CUDA cards", cards()),
                          fmt::format("card {}, with a driver for CUDA 13", ordinal),
                          "run with --device cpu, or on another machine"});
  state_ = std::make_unique<State>(ordinal);
}

Runtime::~Runtime() = default;

const Card& Runtime::card() const { return state_->card; }

std::size_t Runtime::free_bytes() const {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  std::uint64_t reserved = 0, used = 0;  // what the pool holds back is free too
  check(cudaMemPoolGetAttribute(state_->pool, cudaMemPoolAttrReservedMemCurrent, &reserved),
        "cudaMemPoolGetAttribute");
  check(cudaMemPoolGetAttribute(state_->pool, cudaMemPoolAttrUsedMemCurrent, &used),
        "cudaMemPoolGetAttribute");
  return free + reserved - used;
}

void* Runtime::allocate(std::size_t bytes) {
  for (const bool again : {false, true}) {
    void* p = nullptr;
    const cudaError_t error = cudaMallocFromPoolAsync(&p, bytes, state_->pool, state_->stream);
    if (error == cudaSuccess) return p;
    if (error != cudaErrorMemoryAllocation) check(error, "cudaMallocFromPoolAsync");
    cudaGetLastError();
    if (again) break;
    wait();  // for what is being released; pieces that lie apart go back to the card
    check(cudaMemPoolTrimTo(state_->pool, 0), "cudaMemPoolTrimTo");
  }
  return nullptr;
}

void Runtime::release(void* p) noexcept {
  try {
    state_->recorder.flush();  // may name it
  } catch (const Error&) {     // the card is lost
  }
  cudaFreeAsync(p, state_->stream);
}

void* Runtime::allocate_pinned(std::size_t bytes) {
  void* p = nullptr;
  if (cudaHostAlloc(&p, bytes, cudaHostAllocMapped) == cudaSuccess)
    return p;  // one address for host and card
  cudaGetLastError();
  return nullptr;
}

void Runtime::release_pinned(void* p) noexcept {
  try {
    wait();
  } catch (const Error&) {  // the card is lost, and reads it no more
  }
  cudaFreeHost(p);
}

void Runtime::run(Step step) {
  if (step.kind == Step::Kind::kKernel) state_->let_share(step.kernel, step.shared_bytes);
  if (state_->recording)
    state_->recorder.add(std::move(step));
  else
    state_->run(step);
}

void Runtime::zero(void* p, std::size_t bytes) {
  if (bytes) run({.kind = Step::Kind::kZero, .to = p, .bytes = bytes});
}

void Runtime::upload(void* to, const void* host, std::size_t bytes) {
  state_->staging.pass(
      host, bytes, state_->stream, [&] { state_->recorder.flush(); },
      [&](const void* from, std::size_t done, std::size_t part) {
        run({.kind = Step::Kind::kCopy, .to = static_cast<char*>(to) + done, .from = from, .bytes = part});
      });
}

void Runtime::download(void* host, const void* from, std::size_t bytes) {
  state_->recorder.flush();
  if (bytes) check(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDefault, state_->stream), "a download");
  wait();
}

void Runtime::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes) run({.kind = Step::Kind::kCopy, .to = to, .from = from, .bytes = bytes});
}

void Runtime::wait() {
  state_->recorder.flush();
  check(cudaStreamSynchronize(state_->stream), "a kernel");
}

double Runtime::seconds_of(const std::function<void()>& work) {
  const Moment begin, end;
  check(cudaEventRecord(begin.event, static_cast<cudaStream_t>(stream())), "cudaEventRecord");
  work();
  check(cudaEventRecord(end.event, static_cast<cudaStream_t>(stream())), "cudaEventRecord");
  check(cudaEventSynchronize(end.event), "a kernel");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin.event, end.event), "cudaEventElapsedTime");
  return 1e-3 * double{milliseconds};
}

bool Runtime::graphs() const { return state_->graphs; }
void Runtime::begin_step() {
  state_->recording = state_->graphs;
  state_->recorder.begin();
}
void Runtime::end_steps() {
  state_->recorder.flush();
  state_->recording = false;
}

void* Runtime::stream() {
  state_->recorder.flush();
  return state_->stream;
}

void* Runtime::raw_stream() const { return state_->stream; }

}  // namespace evictbench::cuda
