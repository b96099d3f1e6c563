#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/file.h"
#include "core/io/json.h"
#include "models/tensor_files.h"

// Strict reader of safetensors checkpoints. All that a header says is checked against the file before it is
// believed; whatever is not right is an Error with exit code 4 (codes E-ST-..; specs: robustness ST-01..ST-42).
namespace evictbench {

// The weights of a model folder: model.safetensors, or the shards that model.safetensors.index.json lists.
class SafetensorsFolder final : public TensorFiles {
 public:
  explicit SafetensorsFolder(const std::string& folder);

  const std::string& path() const override { return folder_; }
  const Map& tensors() const override { return tensors_; }
  void read(std::string_view name, std::span<std::byte> to) const override;
  void read_rows(std::string_view name, std::int64_t first, std::span<std::byte> to) const override;
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  void open_single(const std::string& path);
  void open_sharded(const std::string& index_path);
  void check_total(const Json& metadata) const;
  void note_unlisted(const std::set<std::string>& shards);
  void note_dtypes();

  std::string folder_;
  std::vector<File> shards_;
  Map tensors_;
  std::vector<std::string> notes_;
};

}  // namespace evictbench
