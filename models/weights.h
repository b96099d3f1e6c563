#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "models/config.h"

namespace evictbench {

struct Weight {
  DType dtype = DType::kF32;
  std::vector<int> shape;
  std::vector<std::byte> bytes;  // row-major, little-endian

  // Every element widened to f32, exactly.
  std::vector<float> widened() const;
};

// Rows for columns, of a weight of two dims.
Weight transposed(const Weight& weight);

// A weight of two dims that is read a few rows at a time.
struct WeightRowReader {
  DType dtype = DType::kF32;
  int rows = 0, columns = 0;
  std::function<void(int first, std::span<std::byte> to)> read;  // whole rows, from `first` on; thread-safe
};
WeightRowReader rows_of(Weight weight);

// Where a decoder's weights come from: files, or a random generator in tests.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual Weight load(const std::string& name) const = 0;
  // Of a matrix. Not to outlive the source.
  virtual WeightRowReader rows(const std::string& name) const { return rows_of(load(name)); }
};

// What a family calls a decoder's weights; {} stands for the layer. A matrix may come in parts, which stand one below
// the other; an empty list: there is no such weight.
struct WeightNames {
  using Parts = std::vector<std::string>;

  Parts embedding, positions;  // [V, C], [max_positions, C]
  Parts attention_norm, attention_norm_bias, attention_post_norm;  // [C]
  Parts qkv, qkv_bias;                                             // [(H + 2G) D, C]: queries, keys, values
  Parts query_norm, key_norm;                                      // [D]
  Parts output, output_bias;                                       // [C, H D]
  Parts mlp_norm, mlp_norm_bias, mlp_post_norm;                    // [C]
  Parts gate_up, gate_up_bias;  // [2F, C]: gate, up; where nothing gates, [F, C]
  Parts down, down_bias;        // [C, F]
  Parts final_norm, final_norm_bias;  // [C]
  Parts head;                         // [V, C]
  bool transposed = false;            // the matrices of layers are stored as [in, out]
  Parts ignored;                      // ends of the names of tensors that hold no weights

  bool ignores(std::string_view tensor) const;
};

// The names of most families, Llama's, with biases and norms as the config has them.
WeightNames usual_names(const DecoderConfig& config);

std::string layer_name(const std::string& pattern, int layer);

}  // namespace evictbench
