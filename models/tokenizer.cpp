#include "models/tokenizer.h"

#include <fmt/format.h>

#include "core/io/json.h"
#include "models/bpe_tokenizer.h"
#include "models/folder.h"
#include "models/gguf_tokenizer.h"
#include "models/sentencepiece_tokenizer.h"
#include "models/tokenizer_agreement.h"
#include "models/vocab_merges.h"

namespace evictbench {
namespace {

// add_bos_token and add_eos_token of tokenizer_config.json, which the makers of tokenizer.model files set there.
SpecialEnds ends_from_config(const std::string& folder) {
  SpecialEnds ends;
  const std::string path = folder + "/tokenizer_config.json";
  if (!is_present(path)) return ends;
  const Json config = Json::from_file(path, {.code_prefix = "E-TC"});
  if (const auto bos = config.find("add_bos_token")) ends.bos = bos->boolean();
  if (const auto eos = config.find("add_eos_token")) ends.eos = eos->boolean();
  return ends;
}

// Does any pre-tokenizer of the file work on bytes? Others are SentencePiece models in another dress.
bool is_byte_level(const std::optional<Json>& step) {
  if (!step || !step->is_object() || !step->find("type")) return false;
  const std::string& type = step->at("type").string();
  if (type != "Sequence") return type == "ByteLevel";
  const Json members = step->at("pretokenizers");
  for (std::size_t i = 0; i < members.size(); ++i)
    if (is_byte_level(members[i])) return true;
  return false;
}

}  // namespace

std::unique_ptr<const Tokenizer> load_tokenizer(const std::string& folder) {
  require_folder_name(folder, "E-TK");
  if (is_gguf(folder)) return load_gguf_tokenizer(Gguf(folder));
  const std::string json_path = folder + "/tokenizer.json", model_path = folder + "/tokenizer.model";
  const bool has_json = is_present(json_path), has_model = is_present(model_path);
  if (!has_json && !has_model && is_present(folder + "/vocab.json") && is_present(folder + "/merges.txt"))
    return make_bpe_tokenizer(read_vocab_and_merges(folder));
  if (!has_json && !has_model)
    reject(Exit::kInput, {"E-TK-01", folder, "", "no tokenizer",
                          "tokenizer.json or tokenizer.model in the folder, or vocab.json with merges.txt",
                          "copy the model's tokenizer files there"});
  if (!has_json) return load_sentencepiece(model_path, ends_from_config(folder));
  const Json json = Json::from_file(json_path, {.code_prefix = "E-TJ"});
  const bool byte_level = is_byte_level(json.find("pre_tokenizer"));
  if (!has_model || (byte_level && is_rank_file(model_path)))
    return make_bpe_tokenizer(read_tokenizer_json(json));
  auto model = load_sentencepiece(model_path, ends_from_config(folder));
  auto richer = check_agreement(json, *model);
  return richer ? std::move(richer) : std::move(model);
}

}  // namespace evictbench
