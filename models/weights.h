#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace evictbench {

struct Weight {
  DType dtype = DType::kF32;
  std::vector<int> shape;
  std::vector<std::byte> bytes;  // row-major, little-endian

  // Every element widened to f32, exactly.
  std::vector<float> widened() const;
};

// Where a decoder's weights come from: files, or a random generator in tests.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual Weight load(const std::string& name) const = 0;
};

// The names a family gives to a decoder's weights; {} stands for the layer.
struct WeightNames {
  std::string embedding, final_norm, head;
  std::string attention_norm, query, key, value, output;
  std::string mlp_norm, gate, up, down;
};

std::string layer_name(const std::string& pattern, int layer);

}  // namespace evictbench
