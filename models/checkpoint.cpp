#include "models/checkpoint.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <filesystem>
#include <set>

#include "core/io/file.h"
#include "models/decoder.h"
#include "models/family.h"
#include "models/folder.h"
#include "models/gguf_tokenizer.h"
#include "models/gguf_weights.h"
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
  std::shared_ptr<const Gguf> gguf;  // nullptr: a folder
  std::unique_ptr<const TensorFiles> weights;
  WeightNames names;
};

Checkpoint::Checkpoint(std::string path) : path_(std::move(path)), files_(std::make_unique<Files>()) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  if (is_gguf(path_)) files_->gguf = std::make_shared<const Gguf>(path_);
  const auto [json, notes] = files_->gguf ? config_of(*files_->gguf) : GgufConfig{open_config(path_), {}};
  const Family& family = family_of(json);
  config_ = family.config(json);
  config_.notes.insert(config_.notes.end(), notes.begin(), notes.end());
  read_generation_config(path_, config_);
  if (files_->gguf)
    files_->weights = std::make_unique<GgufWeights>(files_->gguf);
  else
    files_->weights = std::make_unique<SafetensorsFolder>(path_);
  files_->names = family.names(config_, *files_->weights);
  check_tensors(*files_->weights, files_->names, config_);
}

Checkpoint::~Checkpoint() = default;

const Tokenizer& Checkpoint::tokenizer() const {
  if (!tokenizer_) {
    tokenizer_ = files_->gguf ? load_gguf_tokenizer(*files_->gguf) : load_tokenizer(path_);
    if (tokenizer_->vocabulary() > config_.vocabulary)
      reject(Exit::kInput,
             {"E-CF-11", path_, "", fmt::format("a tokenizer of {} ids", tokenizer_->vocabulary()),
              fmt::format("at most vocab_size = {} of config.json", config_.vocabulary),
              "take tokenizer and config from the same checkpoint"});
  }
  return *tokenizer_;
}

const Tokenizer* Checkpoint::tokenizer_if_text(bool optional) const {
  const bool present = files_->gguf
                           ? files_->gguf->has("tokenizer.ggml.model")
                           : is_present(path_ + "/tokenizer.json") || is_present(path_ + "/tokenizer.model");
  return present || !optional ? &tokenizer() : nullptr;
}

std::uint64_t Checkpoint::weight_bytes() const { return files_->weights->stored_bytes(); }

// The tensors that load() reads.
std::vector<const StoredTensor*> Checkpoint::loaded() const {
  std::vector<const StoredTensor*> all;
  for (const auto& [name, tensor] : files_->weights->tensors()) {
    const bool second =
        config_.tied_embeddings && name == files_->names.head.front();  // stored twice, loaded once
    if (!second && !files_->names.ignores(name)) all.push_back(&tensor);
  }
  return all;
}

std::uint64_t Checkpoint::parameters() const {
  std::uint64_t count = 0;
  for (const StoredTensor* tensor : loaded()) count += tensor->bytes / size_of(tensor->dtype);
  return count;
}

std::uint64_t Checkpoint::packed_bytes(DType packed) const {
  std::uint64_t bytes = 0;
  for (const StoredTensor* tensor : loaded()) {
    const bool kept = (tensor->dtype != DType::kF32 || packed != DType::kF32) && tensor->shape.size() == 2;
    bytes += tensor->bytes / size_of(tensor->dtype) * (kept ? 2 : 4);
  }
  return bytes;
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
    if (is_file(path_ + "/" + name)) paths.insert(path_ + "/" + name);
  std::vector<std::pair<std::string, std::string>> digests;
  for (const std::string& path : paths)
    digests.emplace_back(std::filesystem::path(path).filename().string(), digest_of(path));
  return digests;
}

void Checkpoint::check_weights() const { check_finite(*files_->weights); }

std::unique_ptr<const Model> Checkpoint::load(Device& device, bool allow_nonfinite) const {
  return std::make_unique<Decoder>(device, config_, files_->names,
                                   StoredWeights(*files_->weights, allow_nonfinite));
}

std::unique_ptr<const Model> Checkpoint::load_reference(bool allow_nonfinite) const {
  return std::make_unique<ReferenceDecoder>(config_, files_->names,
                                            StoredWeights(*files_->weights, allow_nonfinite));
}

}  // namespace evictbench
