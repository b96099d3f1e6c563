#pragma once

#include <string>

#include "core/error.h"

namespace evictbench {

// A device has not so much memory left. It is whole; less work at a time may go.
class OutOfMemory : public Error {
 public:
  explicit OutOfMemory(const std::string& message) : Error(Exit::kInput, message) {}
};

// A device that answers nothing any more: whatever was on it is gone, and so is the process's hold on it.
class DeviceLost : public Error {
 public:
  explicit DeviceLost(const std::string& message) : Error(Exit::kInternal, message) {}
};

}  // namespace evictbench
