#include "models/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/io/file.h"
#include "models/config_reader.h"
#include "models/family.h"
#include "models/folder.h"

namespace evictbench {

std::string_view name_of(RopeConfig::Kind kind) {
  constexpr std::string_view kNames[] = {"default", "linear", "dynamic", "llama3", "yarn", "longrope"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::int64_t DecoderConfig::context() const {
  using Kind = RopeConfig::Kind;
  double most = max_positions;
  for (const RopeConfig& rope : ropes) {
    // Configs differ in whether max_position_embeddings is the stretched context; it may be the one before.
    if (rope.kind == Kind::kDynamic || rope.kind == Kind::kLinear) most = std::max(most, max_positions * rope.factor);
    if (rope.kind == Kind::kYarn) most = std::max(most, rope.original_max_positions * rope.factor);
  }
  return static_cast<std::int64_t>(std::min<double>(most, kMostPositions));
}

Json open_config(const std::string& folder) {
  require_folder_name(folder, "E-CF");
  if (!is_folder(folder) && is_file(folder))
    reject(Exit::kInput,
           {"E-CF-F01", folder, "", "this is a file", "a model folder with config.json, or a GGUF file",
            "name the folder that holds the model"});
  return Json::from_file(folder + "/config.json", config_rules());
}

std::string model_type_of(const Json& config) {
  const auto type = config.find("model_type");
  if (!type)
    config.reject("02", "model_type is absent", "the family's name, such as \"llama\"", "add \"model_type\"");
  if (type->string().empty())
    type->reject("02", "model_type is empty", "the family's name, such as \"llama\"",
                 "write the family's name there");
  return type->string();
}

void read_generation_config(const std::string& folder, DecoderConfig& out) {
  const std::string path = folder + "/generation_config.json";
  if (is_present(path)) {
    const Json generation = Json::from_file(path, config_rules());
    if (const auto eos = generation.find("eos_token_id")) {
      const auto ids = read_ids(*eos, out.vocabulary);
      if (!out.eos_tokens.empty() && ids != out.eos_tokens)
        out.notes.push_back(
            fmt::format("end tokens [{}] of generation_config.json go before [{}] of config.json",
                        fmt::join(ids, ", "), fmt::join(out.eos_tokens, ", ")));
      out.eos_tokens = ids;
    }
  }
  if (out.eos_tokens.empty()) out.notes.push_back("no end token: answers run to their full length");
}

DecoderConfig read_config(const std::string& folder) {
  const Json config = open_config(folder);
  DecoderConfig out = family_of(config).config(config);
  read_generation_config(folder, out);
  return out;
}

}  // namespace evictbench
