#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace evictbench {

// A tensor of a checkpoint, as read() gives it.
struct StoredTensor {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // [] is a scalar; a dim may be 0
  std::string file;                 // path of the file that holds it
  std::size_t shard = 0;
  std::uint64_t begin = 0, bytes = 0;  // in the file; what read() fills

  std::string shape_text() const;  // "[512, 64]"
};

// The weights of a checkpoint, whatever kind of file holds them, under the names of their Hugging Face family.
class TensorFiles {
 public:
  using Map = std::map<std::string, StoredTensor, std::less<>>;

  virtual ~TensorFiles() = default;
  virtual const std::string& path() const = 0;  // the folder or the file, for messages
  virtual const Map& tensors() const = 0;
  // The little-endian elements of a tensor that is there, row-major; `to` has exactly its size. Thread-safe.
  virtual void read(std::string_view name, std::span<std::byte> to) const = 0;
  // The same of a tensor of two dims, but only the rows from `first` on, as many as fill `to`. Kinds of file that can
  // read a part without the rest do so: it is how a large table is loaded without a second one of its size.
  virtual void read_rows(std::string_view name, std::int64_t first, std::span<std::byte> to) const;
  // Bytes of all tensors in their files; fewer than read() gives where weights are quantised.
  virtual std::uint64_t stored_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& [name, tensor] : tensors()) bytes += tensor.bytes;
    return bytes;
  }
  // What was accepted, but a user may want to know.
  virtual const std::vector<std::string>& notes() const = 0;

  const StoredTensor* find(std::string_view name) const {  // nullptr: absent
    const auto found = tensors().find(name);
    return found == tensors().end() ? nullptr : &found->second;
  }
};

}  // namespace evictbench
