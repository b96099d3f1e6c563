#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/utf8.h"
#include "models/tokenizer.h"

namespace evictbench {

// A token for each byte, and a few specials, the first of which is the BOS.
class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(std::string bos = "<s>")
      : specials_{std::move(bos), "<|begin_of_text|>", "<s>", "</s>"} {}

  Tokens encode(std::string_view text, Encode how) const override {
    Tokens ids;
    if (how.add_special) ids.push_back(256);
    while (!text.empty()) {
      std::size_t special = specials_.size();
      for (std::size_t i = specials_.size(); how.parse_special && i-- > 0;)
        if (text.starts_with(specials_[i])) special = i;
      const bool found = special < specials_.size();
      ids.push_back(found ? 256 + static_cast<int>(special) : static_cast<unsigned char>(text.front()));
      text.remove_prefix(found ? specials_[special].size() : 1);
    }
    return ids;
  }
  std::string decode(std::span<const std::int32_t> ids, bool keep_special) const override {
    std::string bytes, out;
    for (const std::int32_t id : ids)
      if (id < 256)
        bytes += static_cast<char>(id);
      else if (keep_special)
        bytes += specials_[static_cast<std::size_t>(id - 256)];
    for (std::string_view rest = bytes; !rest.empty();) {
      const Utf8 next = decode_utf8(rest);
      out += next.valid ? std::string(rest.substr(0, next.bytes)) : "\uFFFD";
      rest.remove_prefix(next.bytes);
    }
    return out;
  }
  std::unique_ptr<TextStream> stream(bool) const override { return nullptr; }
  int vocabulary() const override { return 300; }
  std::optional<std::int32_t> id_of(std::string_view) const override { return std::nullopt; }
  std::string_view kind() const override { return "bytes"; }

 private:
  std::vector<std::string> specials_;
};

}  // namespace evictbench
