#pragma once

#include <string>

namespace evictbench {

// Text that neither breaks a table nor becomes markup.
std::string escape_markdown(const std::string& text);

}  // namespace evictbench
