#include "models/tensor_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace evictbench {

std::string StoredTensor::shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace evictbench
