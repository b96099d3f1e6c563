#pragma once

#include "core/error.h"

namespace evictbench {

// A device that answers nothing any more: whatever was on it is gone. Who holds it may open it anew, once.
class DeviceLost : public Error {
 public:
  explicit DeviceLost(const std::string& message) : Error(Exit::kInternal, message) {}
};

}  // namespace evictbench
