#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/dtype.h"
#include "models/config.h"
#include "models/model.h"
#include "models/weights.h"

namespace evictbench {

// A model without a checkpoint: the shape of a config.json, and weights drawn from a seed, for benchmarks of full size. No
// weight is stored before it is packed: a row is drawn when it is read, from (seed, name, row, column) alone, so that
// neither order nor threads change it, and nothing but IEEE arithmetic and integers makes it.
//
// Matrices: the sum of four bytes, nearly normal, of mean 0 and standard deviation 1 / sqrt(inputs), so that activations
// keep their size. Norms: 1. Biases: 0. Everything in the config's torch_dtype, bf16 where that names no other.
class RandomModel {
 public:
  RandomModel(const std::string& config_file, std::uint64_t seed);  // errors of the file: exit 4

  const std::string& path() const { return path_; }
  const DecoderConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }
  KvShape shape(int tokens) const {
    return {config_.layers, config_.q_heads, config_.kv_heads, config_.head_dim, tokens};
  }
  std::uint64_t parameters() const;
  // Bytes of what load() packs, as Checkpoint::packed_bytes.
  std::uint64_t packed_bytes(DType packed = DType::kF32) const;

  std::unique_ptr<const WeightSource> weights() const;  // may outlive this
  std::unique_ptr<const Model> load(Device& device) const;
  std::unique_ptr<const Model> load_reference() const;  // float64, on the host

 private:
  std::string path_;
  std::uint64_t seed_;
  DecoderConfig config_;
  WeightNames names_;
  DType dtype_ = DType::kBF16;
};

}  // namespace evictbench
