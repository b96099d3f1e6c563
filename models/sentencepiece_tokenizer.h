#pragma once

#include <memory>
#include <string>

#include "models/tokenizer.h"

namespace evictbench {

// What add_special puts around a text.
struct SpecialEnds {
  bool bos = true, eos = false;
};

// tokenizer.model; errors E-TM-.., exit 4.
std::unique_ptr<const Tokenizer> load_sentencepiece(const std::string& path, SpecialEnds ends);
// From the bytes of one; `file` is what messages call it.
std::unique_ptr<const Tokenizer> load_sentencepiece(const std::string& bytes, const std::string& file,
                                                    SpecialEnds ends);

}  // namespace evictbench
