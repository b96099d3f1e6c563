#pragma once

#include <cstddef>
#include <span>

#include "core/cpu/kernels.h"
#include "core/ops.h"

// Weight matrices in the layout that the products read: panels of 32 outputs, depth by depth, or pair of depths by pair.
namespace evictbench::cpu {

inline int panels_of(int outputs) { return (outputs + kWeightPanel - 1) / kWeightPanel; }

// What a panel holds of an output: its depth, filled up to whole pairs where there are pairs.
inline int stored_depth(const PackedMatrix& m) { return m.pairs ? (m.depth + 1) / 2 * 2 : m.depth; }

// Where element k of an output stands.
struct Place {
  Place(const PackedMatrix& m, std::ptrdiff_t output)
      : first(output / kWeightPanel * stored_depth(m) * kWeightPanel),
        column(output % kWeightPanel),
        pairs(m.pairs) {}
  std::ptrdiff_t at(int k) const {
    return pairs ? first + (std::ptrdiff_t{k / 2} * kWeightPanel + column) * 2 + k % 2
                 : first + std::ptrdiff_t{k} * kWeightPanel + column;
  }
  std::ptrdiff_t first, column;
  bool pairs;
};

// Ops::pack
PackedMatrix pack(Device& device, std::span<const WeightRows> parts, int depth);

}  // namespace evictbench::cpu
