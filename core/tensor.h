#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"
#include "core/error.h"

namespace evictbench {

struct ReleaseTo {
  Device* device = nullptr;
  std::size_t bytes = 0;
  void operator()(void* p) const noexcept { device->release(p, bytes); }
};

// An owning, dense, row-major array on a device. Moves, never copies by accident.
class Tensor {
  template <class T>
  static constexpr DType kTypeOf = std::is_same_v<T, float>           ? DType::kF32
                                   : std::is_same_v<T, std::uint16_t> ? DType::kBF16
                                                                      : DType::kI32;

 public:
  Tensor() = default;
  Tensor(Device& device, DType dtype, std::vector<int> dims)  // not initialised
      : dtype_(dtype), dims_(std::move(dims)), data_(device.allocate(bytes()), ReleaseTo{&device, bytes()}) {}

  static Tensor zeros(Device& device, DType dtype, std::vector<int> dims) {
    Tensor t(device, dtype, std::move(dims));
    device.zero(t.data_.get(), t.bytes());
    return t;
  }
  static Tensor zeros_or_spill(Device& device, DType dtype,
                               std::vector<int> dims) {  // Device::allocate_or_spill
    Tensor t;
    t.dtype_ = dtype;
    t.dims_ = std::move(dims);
    t.data_ = {device.allocate_or_spill(t.bytes()), ReleaseTo{&device, t.bytes()}};
    device.zero(t.data_.get(), t.bytes());
    return t;
  }

  // 16-bit elements are bf16 unless told otherwise.
  template <class T>
  static Tensor from_host(Device& device, std::span<const T> host, std::vector<int> dims) {
    return from_host(device, host, std::move(dims), kTypeOf<T>);
  }
  template <class T>
  static Tensor from_host(Device& device, std::span<const T> host, std::vector<int> dims, DType dtype) {
    Tensor t(device, dtype, std::move(dims));
    require(holds<T>(dtype) && host.size() == t.size(), "tensor: wrong number or type of elements");
    device.upload(t.data_.get(), host.data(), t.bytes());
    return t;
  }

  template <class T>
  std::vector<T> to_host() const {
    std::vector<T> host(size());
    if (!empty()) device().download(host.data(), data<T>(), bytes());
    return host;
  }
  // The same of any floating-point type, widened.
  std::vector<float> to_floats() const {
    if (dtype_ == DType::kF32) return to_host<float>();
    const std::vector<std::uint16_t> stored = to_host<std::uint16_t>();
    std::vector<float> wide(stored.size());
    std::ranges::transform(stored, wide.begin(), [half = dtype_ == DType::kF16](std::uint16_t x) {
      return half ? f16_to_f32(x) : bf16_to_f32(x);
    });
    return wide;
  }

  bool empty() const { return size() == 0; }
  Device& device() const { return *data_.get_deleter().device; }
  DType dtype() const { return dtype_; }
  const std::vector<int>& dims() const { return dims_; }
  int dim(int i) const { return dims_.at(static_cast<std::size_t>(i)); }
  int columns() const { return dims_.empty() ? 0 : dims_.back(); }
  std::ptrdiff_t rows() const {  // all but the last dim
    return empty() ? 0 : static_cast<std::ptrdiff_t>(size()) / dims_.back();
  }
  std::size_t size() const {
    if (dims_.empty()) return 0;
    std::size_t n = 1;
    for (const int d : dims_) n *= static_cast<std::size_t>(d);
    return n;
  }
  std::size_t bytes() const { return size() * size_of(dtype_); }

  template <class T>
  T* data() {
    return const_cast<T*>(std::as_const(*this).data<T>());
  }
  template <class T>
  const T* data() const {
    require(empty() || holds<T>(dtype_), "tensor: wrong element type");
    return static_cast<const T*>(data_.get());
  }
  template <class T>
  const T* row(std::ptrdiff_t i) const {
    return data<T>() + i * columns();
  }
  template <class T>
  T* row(std::ptrdiff_t i) {
    return data<T>() + i * columns();
  }
  // Where an element stands, whatever its type.
  void* at(std::ptrdiff_t element) { return const_cast<void*>(std::as_const(*this).at(element)); }
  const void* at(std::ptrdiff_t element) const {
    return static_cast<const char*>(data_.get()) + element * static_cast<std::ptrdiff_t>(size_of(dtype_));
  }

 private:
  template <class T>
  static constexpr bool holds(DType dtype) {
    return dtype == kTypeOf<T> || (std::is_same_v<T, std::uint16_t> && dtype == DType::kF16);
  }

  DType dtype_ = DType::kF32;
  std::vector<int> dims_;
  std::unique_ptr<void, ReleaseTo> data_;
};

}  // namespace evictbench
