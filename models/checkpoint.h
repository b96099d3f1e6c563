#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/chat.h"
#include "models/config.h"
#include "models/model.h"
#include "models/tensor_files.h"
#include "models/tokenizer.h"

namespace evictbench {

// A Hugging Face folder or a GGUF file, opened: all that a run needs of it, its weights last.
class Checkpoint {
 public:
  explicit Checkpoint(std::string path);  // reads the config and every header; errors: exit 4
  ~Checkpoint();

  const std::string& path() const { return path_; }
  const DecoderConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const;  // read when first asked for
  // For commands that can do without one: nothing if there is none and `optional`.
  const Tokenizer* tokenizer_if_text(bool optional) const;
  // Of a prompt's cache on a device that holds it so.
  KvShape shape(int tokens, DType dtype = DType::kF32) const {
    return {config_.layers, config_.q_heads, config_.kv_heads, config_.head_dim, tokens, dtype};
  }
  // Bytes of all weights as stored, and their number.
  std::uint64_t weight_bytes() const;
  std::uint64_t parameters() const;
  // Bytes of what load() packs: matrices become `packed` or, where that is f32, stay as they are stored; vectors become
  // f32. Panels are not filled up here.
  std::uint64_t packed_bytes(DType packed = DType::kF32) const;
  std::vector<std::string> notes() const;
  // File name and XXH3-128 of every file that can change an answer, in order of names.
  std::vector<std::pair<std::string, std::string>> digests() const;

  // Packs the weights for a device. A NaN or an infinity among them is an Error (exit 4) unless it is allowed.
  std::unique_ptr<const Model> load(Device& device, bool allow_nonfinite = false) const;
  std::unique_ptr<const Model> load_reference(bool allow_nonfinite = false) const;  // float64, on the host
  void check_weights() const;  // reads them all, and refuses the same

 private:
  struct Files;
  std::vector<const StoredTensor*> loaded() const;
  std::string path_;
  DecoderConfig config_;
  std::unique_ptr<Files> files_;
  mutable std::unique_ptr<const Tokenizer> tokenizer_;
};

}  // namespace evictbench
