#include "core/cuda/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
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
  if (phase == Phase::kDecode) {
    runtime_.begin_step();
  } else {
    runtime_.end_steps();
    release_spare();
  }
  phase_ = phase;
  auto& peak = phase_peaks_[static_cast<std::size_t>(phase)];
  peak = std::max(peak, in_use_);
}

// With graphs, what is held back may still name memory that was released: it goes from use to use, and the same tensors
// of each step lie in the same places.
void* CudaDevice::find_room(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (const auto end = spare_.upper_bound(bytes); end != spare_.begin() && std::prev(end)->first == bytes) {
    const auto spare =
        std::prev(end);  // the last one released: so each step meets the places of the one before
    void* p = spare->second;
    spare_.erase(spare);
    return p;
  }
  if (void* p = runtime_.allocate(bytes)) return p;
  if (spare_.empty()) return nullptr;
  release_spare();
  return runtime_.allocate(bytes);
}

void CudaDevice::release_spare() {
  if (spare_.empty()) return;
  runtime_.wait();
  for (const auto& [size, p] : std::exchange(spare_, {})) runtime_.release(p);
}

void* CudaDevice::allocate(std::size_t bytes) { return count(find_room(bytes), bytes); }

void* CudaDevice::count(void* p, std::size_t bytes) {
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
  const std::size_t wanted = bytes + runtime_.card().bytes / 16;
  if (wanted > runtime_.free_bytes()) release_spare();
  if (wanted <= runtime_.free_bytes())
    if (void* p = find_room(bytes)) return count(p, bytes);  // what is free may lie in pieces
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
