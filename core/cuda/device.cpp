#include "core/cuda/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/cuda/open.h"
#include "core/cuda/products.h"
#include "core/device_errors.h"

namespace evictbench {

CudaDevice::CudaDevice(DType working, int ordinal) : working_(working), runtime_(ordinal) {}

CudaDevice::~CudaDevice() {
  products_.reset();
  for (const auto& [size, p] : spare_) runtime_.release(p);
}

int CudaDevice::prefill_rows() const { return kCudaPrefillRows; }

void CudaDevice::enter(Phase phase) {
  if (phase == Phase::kDecode)
    runtime_.begin_step();
  else
    runtime_.end_steps();
  phase_ = phase;
  auto& peak = phase_peaks_[static_cast<std::size_t>(phase)];
  peak = std::max(peak, in_use_);
}

// With graphs, what is held back may still name memory that was released: it goes from use to use, and the same tensors
// of each step lie in the same places.
void* CudaDevice::find_room(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (const auto spare = spare_.find(bytes); spare != spare_.end()) {
    void* p = spare->second;
    spare_.erase(spare);
    return p;
  }
  if (void* p = runtime_.allocate(bytes)) return p;
  if (spare_.empty()) return nullptr;
  runtime_.wait();
  for (const auto& [size, p] : std::exchange(spare_, {})) runtime_.release(p);
  return runtime_.allocate(bytes);
}

void* CudaDevice::allocate(std::size_t bytes) {
  void* p = find_room(bytes);
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
  in_use_ -= bytes;
  if (runtime_.graphs())
    spare_.emplace(std::max<std::size_t>(bytes, 1), p);
  else
    runtime_.release(p);
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
