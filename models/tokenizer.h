#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/shape.h"

namespace evictbench {

// Decodes tokens that come one by one: what `add` and then `finish` return, put together, is what decode gives.
class TextStream {
 public:
  virtual ~TextStream() = default;
  virtual std::string add(
      std::int32_t id) = 0;  // all text that is certain; a broken character waits for its rest
  virtual std::string finish() = 0;
  virtual std::size_t waiting() const = 0;  // bytes of text that wait
};

// Text to token ids and back. Safe to use from several threads. Encoding is near-linear in the text.
class Tokenizer {
 public:
  struct Encode {
    bool add_special = true;     // what the tokenizer adds by default: usually a BOS in front
    bool parse_special = false;  // text that spells a special token becomes that token (chat templates)
    // The text goes on where other text ended: a tokenizer that puts a space in front of every text puts none, or
    // takes the one that is there for its own.
    bool continues = false;
  };

  virtual ~Tokenizer() = default;
  virtual Tokens encode(std::string_view text, Encode how) const = 0;
  // Exact inverse of encode for valid UTF-8; bytes that are not UTF-8 become U+FFFD. Special tokens are left out
  // unless `keep_special`.
  virtual std::string decode(std::span<const std::int32_t> ids, bool keep_special = false) const = 0;
  virtual std::unique_ptr<TextStream> stream(
      bool keep_special = false) const = 0;  // not to outlive the tokenizer
  virtual int vocabulary() const = 0;        // V: ids are in [0, V)
  virtual std::optional<std::int32_t> id_of(std::string_view token) const = 0;  // of a token's own spelling
  virtual std::string_view kind() const = 0;  // "bpe", "unigram", "sentencepiece"
};

// From a Hugging Face folder: tokenizer.json, else tokenizer.model, else vocab.json with merges.txt; or from a GGUF file. Errors: exit 4.
std::unique_ptr<const Tokenizer> load_tokenizer(const std::string& folder);

}  // namespace evictbench
