#include "models/tokenizer.h"

#include <fmt/format.h>

#include "core/io/file.h"
#include "core/io/json.h"
#include "models/bpe_tokenizer.h"
#include "models/sentencepiece_tokenizer.h"

namespace evictbench {
namespace {

// add_bos_token and add_eos_token of tokenizer_config.json, which the makers of tokenizer.model files set there.
SpecialEnds ends_from_config(const std::string& folder) {
  SpecialEnds ends;
  const std::string path = folder + "/tokenizer_config.json";
  if (!is_file(path)) return ends;
  const Json config = Json::from_file(path, {.code_prefix = "E-TC"});
  if (const auto bos = config.find("add_bos_token")) ends.bos = bos->boolean();
  if (const auto eos = config.find("add_eos_token")) ends.eos = eos->boolean();
  return ends;
}

// Does any pre-tokenizer of the file work on bytes? Others are SentencePiece models in another dress.
bool is_byte_level(const Json& step) {
  if (step.is_object() && step.find("type") && step.at("type").string() == "Sequence") {
    const Json members = step.at("pretokenizers");
    for (std::size_t i = 0; i < members.size(); ++i)
      if (is_byte_level(members[i])) return true;
  }
  return step.is_object() && step.find("type") && step.at("type").string() == "ByteLevel";
}

// tokenizer.json may have been given tokens that tokenizer.model does not know.
void check_agreement(const Json& json, const Tokenizer& model) {
  const auto added = json.find("added_tokens");
  for (std::size_t i = 0; added && i < added->size(); ++i) {
    const Json token = (*added)[i];
    const std::string& text = token.at("content").string();
    if (model.id_of(text) != static_cast<std::int32_t>(token.at("id").integer(0, 1 << 30)))
      token.reject(
          "12",
          fmt::format("the added token '{}' has another id in tokenizer.model, or none", printable(text)),
          "two files that agree", "remove the one that is out of date");
  }
}

}  // namespace

std::unique_ptr<const Tokenizer> load_tokenizer(const std::string& folder) {
  const std::string json_path = folder + "/tokenizer.json", model_path = folder + "/tokenizer.model";
  const bool has_json = is_file(json_path), has_model = is_file(model_path);
  if (!has_json && !has_model)
    reject(Exit::kInput,
           {"E-TK-01", folder, "", "no tokenizer", "tokenizer.json or tokenizer.model in the folder",
            "copy the model's tokenizer files there"});
  if (has_json && has_model) {
    const Json json = Json::from_file(json_path, {.code_prefix = "E-TJ"});
    const auto pre_tokenizer = json.find("pre_tokenizer");
    if (!pre_tokenizer || !is_byte_level(*pre_tokenizer)) {
      auto model = load_sentencepiece(model_path, ends_from_config(folder));
      check_agreement(json, *model);
      return model;
    }
  }
  if (has_json) return make_bpe_tokenizer(read_tokenizer_json(json_path));
  return load_sentencepiece(model_path, ends_from_config(folder));
}

}  // namespace evictbench
