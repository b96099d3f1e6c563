#include "models/charsmap_check.h"

#include <fmt/format.h>

#include <vector>

#include "core/error.h"
#include "core/io/file.h"

namespace evictbench {
namespace {

// The bit fields of a unit of a Darts-clone double array.
std::uint32_t child_offset(std::uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1U) != 0; }
std::uint32_t label(std::uint32_t unit) { return unit & (1U << 31 | 0xffU); }
std::uint32_t leaf_value(std::uint32_t unit) { return unit & ~(1U << 31); }

std::uint32_t unit_at(std::string_view bytes, std::size_t index) {
  std::uint32_t unit = 0;
  for (std::size_t i = 0; i < 4; ++i)
    unit |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[4 * index + i])) << (8 * i);
  return unit;
}

}  // namespace

void check_charsmap(std::string_view blob, std::uint64_t offset, const std::string& file) {
  if (blob.empty()) return;
  const auto refuse = [&](const std::string& found, const std::string& expected) {
    reject(Exit::kInput, {"E-TM-14", file, fmt::format("byte {}", offset), "precompiled_charsmap: " + found,
                          expected, "the file is damaged; fetch it again"});
  };
  if (blob.size() <= 4) refuse(fmt::format("{} bytes", blob.size()), "more than 4");
  const std::size_t trie_bytes = unit_at(blob, 0);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes >= blob.size() - 4)
    refuse(fmt::format("a trie of {} bytes", trie_bytes),
           fmt::format("a multiple of 4 below {}", blob.size() - 4));
  const std::string_view trie = blob.substr(4, trie_bytes), replacements = blob.substr(4 + trie_bytes);
  if (replacements.back() != '\0') refuse("replacements that do not end in NUL", "a final NUL");
  if (invalid_utf8(replacements) != std::string::npos)
    refuse("replacements that are not UTF-8", "UTF-8 text");

  // Visits every node that a lookup can reach. From a node, a lookup reads units of one aligned block of 256.
  const std::size_t units = trie_bytes / 4;
  if (has_leaf(unit_at(trie, 0))) refuse("a rule for empty text", "rules for text");
  std::vector<bool> seen(units);
  std::vector<std::uint32_t> open = {0};
  seen[0] = true;
  while (!open.empty()) {
    const std::uint32_t node = open.back();
    open.pop_back();
    const std::uint32_t unit = unit_at(trie, node), base = node ^ child_offset(unit);
    if ((base | 0xffU) >= units)
      refuse(fmt::format("node {} points to unit {}", node, base), fmt::format("below {}", units));
    if (has_leaf(unit) && leaf_value(unit_at(trie, base)) >= replacements.size())
      refuse(fmt::format("node {} names replacement {}", node, leaf_value(unit_at(trie, base))),
             fmt::format("below {}", replacements.size()));
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t child = base ^ byte;
      if (label(unit_at(trie, child)) != byte || seen[child]) continue;
      seen[child] = true;
      open.push_back(child);
    }
  }
}

}  // namespace evictbench
