#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evictbench {

// Refuses (E-TM-14) a precompiled_charsmap in which a lookup could leave the blob: a 32-bit size, a double-array trie
// of that size, and the NUL-terminated replacements that its leaves point into. Empty is good.
void check_charsmap(std::string_view blob, std::uint64_t offset, const std::string& file);

}  // namespace evictbench
