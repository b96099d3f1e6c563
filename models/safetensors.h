#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/io/file.h"
#include "core/io/json.h"

// Strict reader of safetensors checkpoints. All that a header says is checked against the file before it is
// believed; whatever is not right is an Error with exit code 4 (codes E-ST-..; specs: robustness ST-01..ST-42).
namespace evictbench {

struct StoredTensor {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // [] is a scalar; a dim may be 0
  std::string file;                 // path of the shard
  std::size_t shard = 0;
  std::uint64_t begin = 0, bytes = 0;  // in the shard

  std::string shape_text() const;  // "[512, 64]"
};

// The weights of a model folder: model.safetensors, or the shards that model.safetensors.index.json lists.
class SafetensorsFolder {
 public:
  explicit SafetensorsFolder(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;  // nullptr: absent
  // The raw little-endian bytes of a tensor that is there; `to` has exactly its size. Thread-safe.
  void read(std::string_view name, std::span<std::byte> to) const;
  // What was accepted, but a user may want to know.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  void open_single(const std::string& path);
  void open_sharded(const std::string& index_path);
  void check_total(const Json& metadata) const;
  void note_unlisted(const std::set<std::string>& shards);
  void note_dtypes();

  std::string folder_;
  std::vector<File> shards_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
  std::vector<std::string> notes_;
};

}  // namespace evictbench
