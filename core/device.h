#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace evictbench {

struct Ops;

// What the work at hand is part of. A device may choose its algorithms by it, and keep a memory mark of each.
enum class Phase { kLoad, kPrefill, kSelect, kDecode };

// Where tensors live and operations run: memory, stream, handles, workspace. Every operation takes one;
// nothing is global.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  virtual const char* name() const = 0;
  virtual const Ops& ops() const = 0;  // its kernels: core/ops.h

  // What activations between operations, keys and values are held in: f32, f16 or bf16.
  virtual DType working() const { return DType::kF32; }
  // Rows of a prompt that pass through all layers together.
  virtual int prefill_rows() const { return kPrefillRows; }
  static constexpr int kPrefillRows = 512;
  virtual void enter(Phase) {}  // from here on, until the next

  virtual void* allocate(
      std::size_t bytes) = 0;  // not initialised; 64-byte aligned; throws Error when there is none
  // The same for what is large and lives long: where the device is full, it may lie in host memory that kernels reach.
  virtual void* allocate_or_spill(std::size_t bytes) { return allocate(bytes); }
  virtual void release(void* p, std::size_t bytes) noexcept = 0;
  virtual void zero(void* p, std::size_t bytes) = 0;
  virtual void upload(void* to, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* from, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  // both on this device

  // Of what was handed out and lies on the device.
  virtual std::size_t bytes_in_use() const = 0;
  virtual std::size_t peak_bytes() const = 0;
  virtual void reset_peak() = 0;
};

}  // namespace evictbench
