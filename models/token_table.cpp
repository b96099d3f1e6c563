#include "models/token_table.h"

#include <fmt/format.h>

#include "core/error.h"
#include "models/unicode.h"

namespace evictbench {

std::string byte_token(unsigned char byte) { return fmt::format("<0x{:02X}>", byte); }

int byte_of_token(std::string_view spelling) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') return -1;
  const std::size_t high = kDigits.find(spelling[3]), low = kDigits.find(spelling[4]);
  return high == kDigits.npos || low == kDigits.npos ? -1 : static_cast<int>(high * 16 + low);
}

std::string spaces_for_marks(std::string_view text) { return replace_all(text, kSpaceMark, " "); }

std::string text_to_encode(std::string_view text) {
  constexpr std::size_t kMost = std::size_t{256} << 20;
  if (text.size() > kMost)
    reject(Exit::kInput, {"E-TK-02", "text to encode", "", fmt::format("{} bytes", text.size()),
                          fmt::format("at most {}", kMost), "encode it in parts"});
  return valid_utf8(std::string(text));
}

std::optional<std::int32_t> TokenTable::id_of(std::string_view spelling) const {
  const auto found = ids.find(std::string(spelling));
  return found == ids.end() ? std::nullopt : std::optional(found->second);
}

std::string TokenTable::decode(std::span<const std::int32_t> tokens, bool keep_special) const {
  std::string out;
  bool first = strip_first_space;
  for (const std::int32_t id : tokens) {
    if (id < 0 || id >= size() || entries[static_cast<std::size_t>(id)].spelling.empty()) {
      out += kReplacement;  // a model may have more rows than its tokenizer has tokens
      continue;
    }
    const Entry& entry = entries[static_cast<std::size_t>(id)];
    if (!entry.special || keep_special) {
      const bool strip = first && !entry.cuts && entry.bytes.starts_with(' ');
      out.append(entry.bytes, strip ? 1 : 0);
    }
    first = strip_first_space && entry.cuts;
  }
  return valid_utf8(std::move(out));
}

}  // namespace evictbench
