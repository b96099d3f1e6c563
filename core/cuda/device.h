#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/cuda/runtime.h"
#include "core/device.h"
#include "core/device_limits.h"
#include "core/tensor.h"

namespace evictbench {

namespace cuda {
class Products;
}

// A CUDA card, or the emulator of one in tests. Mode f32: plain kernels that give the CPU's bits. Modes bf16 and f16:
// activations, keys and values of two bytes, products on tensor cores with f32 accumulators; their own bits, the same
// for a sequence alone and in any batch.
class CudaDevice final : public Device, public DeviceLimits {
 public:
  explicit CudaDevice(DType working, int ordinal = 0);
  ~CudaDevice() override;

  const char* name() const override { return "cuda"; }
  const Ops& ops() const override;  // core/cuda/ops.cpp
  DType working() const override { return working_; }
  int prefill_rows() const override;
  void enter(Phase phase) override;

  void* allocate(std::size_t bytes) override;
  void* allocate_or_spill(std::size_t bytes) override;
  void release(void* p, std::size_t bytes) noexcept override;
  void zero(void* p, std::size_t bytes) override;
  void upload(void* to, const void* host, std::size_t bytes) override { runtime_.upload(to, host, bytes); }
  void download(void* host, const void* from, std::size_t bytes) override {
    runtime_.download(host, from, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override { runtime_.copy(to, from, bytes); }
  std::size_t bytes_in_use() const override { return in_use_; }
  std::size_t peak_bytes() const override { return peak_; }
  void reset_peak() override { peak_ = in_use_; }
  std::size_t spilled_bytes() const { return spilled_bytes_; }  // now, in host memory

  // DeviceLimits; the first two are measured when asked for.
  double matrix_flops() override;
  double copy_bytes() override;
  std::int64_t free_bytes() override { return static_cast<std::int64_t>(runtime_.free_bytes()); }

  cuda::Runtime& runtime() { return runtime_; }
  cuda::Products& products();  // of the modes bf16 and f16
  std::vector<std::string> notes() const override;
  Phase phase() const { return phase_; }
  // The most bytes in use at a time since the last reset_peak(), in each phase.
  std::size_t peak_of(Phase phase) const { return phase_peaks_[static_cast<std::size_t>(phase)]; }

 private:
  void* find_room(std::size_t bytes);       // null where there is none
  void* count(void* p, std::size_t bytes);  // throws where it is null
  void release_spare();

  DType working_;
  cuda::Runtime runtime_;
  std::unique_ptr<cuda::Products> products_;  // from the first product on
  Phase phase_ = Phase::kLoad;
  std::size_t in_use_ = 0, peak_ = 0, spilled_bytes_ = 0;
  std::set<void*> spilled_;
  std::multimap<std::size_t, void*> spare_;  // released while graphs may name it, for the next of that size
  std::array<std::size_t, 4> phase_peaks_{};
};

// The device that the operations of core/cuda are given.
inline CudaDevice& cuda_of(Device& device) { return static_cast<CudaDevice&>(device); }

namespace cuda {

// Plain numbers of the host, on the device while this lives: tables that a kernel is launched with.
template <class T>
class Table {
 public:
  Table(Device& device, std::span<const T> host) : device_(device), bytes_(host.size_bytes()) {
    if (bytes_ == 0) return;
    data_ = static_cast<T*>(device.allocate(bytes_));
    device.upload(data_, host.data(), bytes_);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    if (data_) device_.release(data_, bytes_);
  }
  T* data() const { return data_; }

 private:
  Device& device_;
  std::size_t bytes_;
  T* data_ = nullptr;
};

}  // namespace cuda
}  // namespace evictbench
