#include "models/token_table.h"

#include <fmt/format.h>

#include <utility>

#include "core/error.h"
#include "core/io/file.h"
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
  TableStream stream(*this, keep_special);
  std::string out;
  for (const std::int32_t id : tokens) out += stream.add(id);
  return out + stream.finish();
}

std::string TableStream::text_of_run() {
  std::string run = std::exchange(waiting_, "");
  if (invalid_utf8(run) == std::string::npos) return run;
  std::string out;
  for (std::size_t i = 0; i < run.size(); ++i) out += kReplacement;
  return out;
}

std::string TableStream::add(std::int32_t id) {
  using Strip = TokenTable::Strip;
  const bool known =
      id >= 0 && id < table_.size() && !table_.entries[static_cast<std::size_t>(id)].spelling.empty();
  const auto left_out = [&] {
    return table_.entries[static_cast<std::size_t>(id)].special && !keep_special_;
  };
  const bool runs = table_.broken == TokenTable::Broken::kRuns;
  const bool in_run =  // a token that is left out does not end one
      runs && known &&
      (left_out() || byte_of_token(table_.entries[static_cast<std::size_t>(id)].spelling) >= 0);
  std::string ready = runs && !in_run ? text_of_run() : "";
  if (!known) {
    waiting_ += kReplacement;  // a model may have more rows than its tokenizer has tokens
  } else {
    const TokenTable::Entry& entry = table_.entries[static_cast<std::size_t>(id)];
    if (!entry.special || keep_special_)
      waiting_.append(entry.bytes, strips_ && !entry.cuts && entry.bytes.starts_with(' ') ? 1 : 0);
    if (table_.strip == Strip::kEach)
      strips_ = entry.cuts;
    else
      strips_ = strips_ && entry.special;  // a special token in front was put there
  }
  if (in_run) return ready;
  ready += std::exchange(waiting_, "");
  const std::size_t whole = ready.size() - (runs ? 0 : unfinished_utf8(ready));
  waiting_ = ready.substr(whole);
  ready.resize(whole);
  return valid_utf8(std::move(ready), by_byte());
}

std::string TableStream::finish() {
  if (table_.broken == TokenTable::Broken::kRuns) return text_of_run();
  return valid_utf8(std::exchange(waiting_, ""), by_byte());
}

}  // namespace evictbench
