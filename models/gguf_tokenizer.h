#pragma once

#include <memory>

#include "core/io/json.h"
#include "models/gguf.h"
#include "models/tokenizer.h"

namespace evictbench {

// The tokenizer inside a GGUF file, as the tokenizer.json or tokenizer.model of its Hugging Face folder would have been
// (codes E-GG-4x, and those of these two formats).
std::unique_ptr<const Tokenizer> load_gguf_tokenizer(const Gguf& file);

// The two forms that it may take, for the same readers that folders have.
Json tokenizer_json_of(const Gguf& file);              // tokenizer.ggml.model "gpt2"
std::string sentencepiece_model_of(const Gguf& file);  // "llama": the protobuf of a tokenizer.model

}  // namespace evictbench
