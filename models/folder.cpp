#include "models/folder.h"

#include <filesystem>

#include "core/error.h"

namespace evictbench {

bool is_present(const std::string& path) {
  std::error_code unknown;
  return std::filesystem::symlink_status(path, unknown).type() != std::filesystem::file_type::not_found;
}

void require_folder_name(const std::string& folder, const std::string& code_prefix) {
  if (folder.empty())
    reject(Exit::kInput, {code_prefix + "-F01", "\"\"", "", "the path is empty", "a model folder",
                          "name the folder that holds the model"});
}

}  // namespace evictbench
