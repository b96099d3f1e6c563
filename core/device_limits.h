#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evictbench {

// What a device knows of the most it can do, for benchmarks to stand beside. A Device that knows it derives from this
// too; the host does not: its limits are measured by tests/benchmarks.
class DeviceLimits {
 public:
  virtual ~DeviceLimits() = default;
  virtual double matrix_flops() = 0;  // a second, of large products in the device's compute mode, measured
  virtual double copy_bytes() = 0;    // a second, read and written together, measured
  virtual std::int64_t free_bytes() = 0;               // of its memory, at present
  virtual std::vector<std::string> notes() const = 0;  // what a user should know of how it computed
};

}  // namespace evictbench
