#include "core/cuda/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/cuda/open.h"
#include "core/cuda/products.h"
#include "core/device_errors.h"

namespace evictbench {

CudaDevice::CudaDevice(DType working, int ordinal) : working_(working), runtime_(ordinal) {}

CudaDevice::~CudaDevice() = default;

int CudaDevice::prefill_rows() const { return kCudaPrefillRows; }

void CudaDevice::enter(Phase phase) {
  phase_ = phase;
  auto& peak = phase_peaks_[static_cast<std::size_t>(phase)];
  peak = std::max(peak, in_use_);
}

void* CudaDevice::allocate(std::size_t bytes) {
  void* p = runtime_.allocate(std::max<std::size_t>(bytes, 1));
  if (!p)
    throw OutOfMemory(fmt::format("out of memory on {}: {} bytes asked for, {} free of {}, {} in use",
                                  runtime_.card().name, bytes, runtime_.free_bytes(), runtime_.card().bytes,
                                  in_use_));
  in_use_ += bytes;
  peak_ = std::max(peak_, in_use_);
  auto& phase_peak = phase_peaks_[static_cast<std::size_t>(phase_)];
  phase_peak = std::max(phase_peak, in_use_);
  return p;
}

// A sixteenth of the card is left to activations.
void* CudaDevice::allocate_or_spill(std::size_t bytes) {
  if (bytes + runtime_.card().bytes / 16 <= runtime_.free_bytes()) return allocate(bytes);
  void* p = runtime_.allocate_pinned(std::max<std::size_t>(bytes, 1));
  if (!p) return allocate(bytes);
  spilled_.insert(p);
  spilled_bytes_ += bytes;
  return p;
}

void CudaDevice::release(void* p, std::size_t bytes) noexcept {
  if (spilled_.erase(p) != 0) {
    runtime_.release_pinned(p);
    spilled_bytes_ -= bytes;
    return;
  }
  runtime_.release(p);
  in_use_ -= bytes;
}

cuda::Products& CudaDevice::products() {
  if (!products_) products_ = std::make_unique<cuda::Products>(*this, cuda::open_product_library(*this));
  return *products_;
}

std::vector<std::string> CudaDevice::notes() const {
  return products_ ? products_->notes() : std::vector<std::string>();
}

void CudaDevice::zero(void* p, std::size_t bytes) {
  if (!spilled_.contains(p)) return runtime_.zero(p, bytes);
  runtime_.wait();
  std::memset(p, 0, bytes);
}

std::unique_ptr<Device> open_cuda(DType working, int ordinal) {
  return std::make_unique<CudaDevice>(working, ordinal);
}

int cuda_cards() { return cuda::Runtime::cards(); }

}  // namespace evictbench
