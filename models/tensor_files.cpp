#include "models/tensor_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "core/error.h"

namespace evictbench {

std::string StoredTensor::shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

void TensorFiles::read_rows(std::string_view name, std::int64_t first, std::span<std::byte> to) const {
  const StoredTensor* tensor = find(name);
  require(tensor != nullptr && tensor->shape.size() == 2, "tensor files: rows of what has none");
  std::vector<std::byte> all(tensor->bytes);
  read(name, all);
  const std::size_t begin = static_cast<std::size_t>(first * tensor->shape[1]) * size_of(tensor->dtype);
  require(begin <= all.size() && to.size() <= all.size() - begin, "tensor files: rows behind the last");
  std::memcpy(to.data(), all.data() + begin, to.size());
}

}  // namespace evictbench
