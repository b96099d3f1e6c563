#pragma once

namespace evictbench {

extern const char* const kPageStyle;  // CSS of every page

}  // namespace evictbench
