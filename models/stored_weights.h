#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "models/tensor_files.h"
#include "models/weights.h"

namespace evictbench {

// Is any element a NaN or an infinity? Faster than reading the bytes from memory.
bool has_nonfinite(DType dtype, std::span<const std::byte> elements);

// Weights out of a checkpoint's files. Unless `allow_nonfinite`, a NaN or an infinity in what is loaded is an Error
// (E-ST-26, exit 4) that names tensor, first index and how many there are.
class StoredWeights final : public WeightSource {
 public:
  StoredWeights(const TensorFiles& files, bool allow_nonfinite)
      : files_(&files), allow_nonfinite_(allow_nonfinite) {}

  Weight load(const std::string& name) const override;
  WeightRowReader rows(const std::string& name) const override;

 private:
  const TensorFiles* files_;
  bool allow_nonfinite_;
};

// Reads every weight, in pieces, and refuses the first tensor that holds a NaN or an infinity.
void check_finite(const TensorFiles& files);

}  // namespace evictbench
