#pragma once

#include "core/device_errors.h"

namespace evictbench {

// A card that has failed is lost to the whole process. Executes this program anew with the arguments it was given, once:
// what was stored is there, so the run goes on where it was. A second loss is an Error (exit 75, resumable). Call it when
// locks are released.
[[noreturn]] void restart(const DeviceLost& why);

}  // namespace evictbench
