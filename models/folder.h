#pragma once

#include <string>

namespace evictbench {

// Is there anything of this name: a file, but also a folder, a pipe, a link to nowhere or one that cannot be looked
// at? What is there is opened as a file, and refused for what it is.
bool is_present(const std::string& path);

// Refuses an empty path, under CODE_PREFIX-F01.
void require_folder_name(const std::string& folder, const std::string& code_prefix);

}  // namespace evictbench
