#pragma once

#include <string>

#include "core/io/json.h"
#include "models/tokenizer.h"

namespace evictbench {

// Refuses (E-TJ-12) a tokenizer.json and a tokenizer.model that would give some text different ids. Where the json
// cannot be run here, their vocabularies are compared. Gives the json's tokenizer where it has tokens behind those of the
// model, as fine-tuned models do, else nothing.
std::unique_ptr<const Tokenizer> check_agreement(const Json& json, const Tokenizer& model);

// Is this tokenizer.model a list of base64 tokens and their ranks, as Meta and OpenAI publish, and no SentencePiece?
bool is_rank_file(const std::string& path);

}  // namespace evictbench
