#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "core/cuda/runtime.h"
#include "core/device_errors.h"

namespace evictbench::cuda {
namespace {

constexpr std::size_t kStagingBytes = std::size_t{8} << 20;  // of one piece on its way to the card
constexpr std::size_t kStagings = 4;
constexpr std::size_t kPlainShared = std::size_t{48} << 10;  // dynamic shared memory that needs no asking

// Every failure but a lack of memory is taken for the end of the card's context: most are.
void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  throw DeviceLost(fmt::format("the CUDA card failed in {}: {} ({})", what, cudaGetErrorString(error),
                               cudaGetErrorName(error)));
}

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
  void upload(void* to, const void* host, std::size_t bytes, cudaStream_t stream) {
    for (std::size_t done = 0; done < bytes;) {
      if (used_ == kStagingBytes) turn(stream);
      const std::size_t part = std::min(bytes - done, kStagingBytes - used_);
      char* here = static_cast<char*>(pieces_[now_].data) + used_;
      std::memcpy(here, static_cast<const char*>(host) + done, part);
      check(cudaMemcpyAsync(static_cast<char*>(to) + done, here, part, cudaMemcpyDefault, stream),
            "an upload");
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

Card card_of(int ordinal) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  return {properties.name, properties.major, properties.minor, properties.multiProcessorCount,
          properties.totalGlobalMem};
}

}  // namespace

struct Runtime::State {
  explicit State(int ordinal) : card(card_of(ordinal)) {
    check(cudaSetDevice(ordinal), "cudaSetDevice");
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

  Card card;
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
  Staging staging;
  std::map<const void*, std::size_t> shared;  // bytes that a kernel may ask for, where more than kPlainShared
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

void Runtime::release(void* p) noexcept { cudaFreeAsync(p, state_->stream); }

void* Runtime::allocate_pinned(std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t error = cudaHostAlloc(&p, bytes, cudaHostAllocMapped);  // one address for host and card
  if (error == cudaSuccess) return p;
  if (error != cudaErrorMemoryAllocation) check(error, "cudaHostAlloc");
  cudaGetLastError();
  return nullptr;
}

void Runtime::release_pinned(void* p) noexcept {
  cudaStreamSynchronize(state_->stream);
  cudaFreeHost(p);
}

void Runtime::zero(void* p, std::size_t bytes) {
  if (bytes) check(cudaMemsetAsync(p, 0, bytes, state_->stream), "cudaMemsetAsync");
}

void Runtime::upload(void* to, const void* host, std::size_t bytes) {
  state_->staging.upload(to, host, bytes, state_->stream);
}

void Runtime::download(void* host, const void* from, std::size_t bytes) {
  if (bytes) check(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDefault, state_->stream), "a download");
  wait();
}

void Runtime::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, state_->stream), "a copy");
}

void Runtime::launch(const void* kernel, Extent3 grid, Extent3 block, std::size_t shared_bytes,
                     void** arguments) {
  if (shared_bytes > kPlainShared && shared_bytes > state_->shared[kernel]) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          "cudaFuncSetAttribute");
    state_->shared[kernel] = shared_bytes;
  }
  check(cudaLaunchKernel(kernel, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, arguments,
                         shared_bytes, state_->stream),
        "a launch");
}

void Runtime::wait() { check(cudaStreamSynchronize(state_->stream), "a kernel"); }
void* Runtime::stream() const { return state_->stream; }

}  // namespace evictbench::cuda
