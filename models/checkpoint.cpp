#include "models/checkpoint.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <filesystem>
#include <set>

#include "core/io/file.h"
#include "models/decoder.h"
#include "models/family.h"
#include "models/folder.h"
#include "models/reference.h"
#include "models/safetensors.h"
#include "models/stored_weights.h"
#include "models/weights_check.h"

namespace evictbench {
namespace {

std::string digest_of(const std::string& path) {
  const File file(path, Exit::kInput, "E-CK");
  std::vector<std::byte> piece(std::size_t{4} << 20);
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  XXH3_128bits_reset(state.get());
  for (std::uint64_t at = 0; at < file.size(); at += piece.size()) {
    const auto part = std::span(piece).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), file.size() - at)));
    file.read(at, part);
    XXH3_128bits_update(state.get(), part.data(), part.size());
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

struct Checkpoint::Files {
  std::unique_ptr<const TensorFiles> weights;
  WeightNames names;
};

Checkpoint::Checkpoint(std::string folder) : folder_(std::move(folder)) {
  while (folder_.size() > 1 && folder_.ends_with('/')) folder_.pop_back();
  const Json json = open_config(folder_);
  const Family& family = family_of(json);
  config_ = family.config(json);
  read_generation_config(folder_, config_);
  auto weights = std::make_unique<SafetensorsFolder>(folder_);
  WeightNames names = family.names(config_, *weights);
  check_tensors(*weights, names, config_);
  files_ = std::make_unique<Files>(Files{std::move(weights), std::move(names)});
}

Checkpoint::~Checkpoint() = default;

const Tokenizer& Checkpoint::tokenizer() const {
  if (!tokenizer_) {
    tokenizer_ = load_tokenizer(folder_);
    if (tokenizer_->vocabulary() > config_.vocabulary)
      reject(Exit::kInput,
             {"E-CF-11", folder_, "", fmt::format("a tokenizer of {} ids", tokenizer_->vocabulary()),
              fmt::format("at most vocab_size = {} of config.json", config_.vocabulary),
              "take tokenizer and config from the same checkpoint"});
  }
  return *tokenizer_;
}

const Tokenizer* Checkpoint::tokenizer_if_text(bool optional) const {
  const bool present = is_present(folder_ + "/tokenizer.json") || is_present(folder_ + "/tokenizer.model");
  return present || !optional ? &tokenizer() : nullptr;
}

std::uint64_t Checkpoint::weight_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : files_->weights->tensors()) bytes += tensor.bytes;
  return bytes;
}

std::uint64_t Checkpoint::parameters() const {
  std::uint64_t count = 0;
  for (const auto& [name, tensor] : files_->weights->tensors()) count += tensor.bytes / size_of(tensor.dtype);
  return count;
}

std::vector<std::string> Checkpoint::notes() const {
  std::vector<std::string> notes = config_.notes;
  notes.insert(notes.end(), files_->weights->notes().begin(), files_->weights->notes().end());
  return notes;
}

std::vector<std::pair<std::string, std::string>> Checkpoint::digests() const {
  std::set<std::string> paths;
  for (const auto& [name, tensor] : files_->weights->tensors()) paths.insert(tensor.file);
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
                           "tokenizer_config.json", "chat_template.jinja", "model.safetensors.index.json"})
    if (is_file(folder_ + "/" + name)) paths.insert(folder_ + "/" + name);
  std::vector<std::pair<std::string, std::string>> digests;
  for (const std::string& path : paths)
    digests.emplace_back(std::filesystem::path(path).filename().string(), digest_of(path));
  return digests;
}

void Checkpoint::check_weights() const { check_finite(*files_->weights); }

std::unique_ptr<const Model> Checkpoint::load(Device& device, bool allow_nonfinite) const {
  return std::make_unique<Decoder>(device, config_, files_->names, StoredWeights(*files_->weights, allow_nonfinite));
}

std::unique_ptr<const Model> Checkpoint::load_reference(bool allow_nonfinite) const {
  return std::make_unique<ReferenceDecoder>(config_, files_->names, StoredWeights(*files_->weights, allow_nonfinite));
}

}  // namespace evictbench
