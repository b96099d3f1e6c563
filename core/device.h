#pragma once

#include <cstddef>
#include <cstdint>

namespace evictbench {

struct Ops;

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

  virtual void* allocate(
      std::size_t bytes) = 0;  // not initialised; 64-byte aligned; throws Error when there is none
  virtual void release(void* p, std::size_t bytes) noexcept = 0;
  virtual void zero(void* p, std::size_t bytes) = 0;
  virtual void upload(void* to, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* from, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  // both on this device

  // Of what allocate() handed out.
  virtual std::size_t bytes_in_use() const = 0;
  virtual std::size_t peak_bytes() const = 0;
  virtual void reset_peak() = 0;
};

}  // namespace evictbench
