#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/shape.h"
#include "core/tensor.h"

// How keys and values lie in memory. Keys come in panels of 16 entries, dimension by dimension, so that one vector
// holds the same dimension of 16 keys; values are plain rows. Every lane starts on a panel.
namespace evictbench {

constexpr int kPanel = 16;

constexpr int padded(int entries) { return (entries + kPanel - 1) / kPanel * kPanel; }

// Where dimension d of entry e of a lane of keys stands.
[[gnu::always_inline]] constexpr std::ptrdiff_t key_index(std::ptrdiff_t entry, int dim, int d) {
  return (entry / kPanel * dim + d) * kPanel + entry % kPanel;
}

// Lanes of one capacity: the cache of a whole prompt, or the tails of a sequence.
struct DenseKv {
  DenseKv() = default;
  DenseKv(Device& device, int layers, int heads, int capacity, int dim, DType dtype)
      : keys(Tensor::zeros(device, dtype, {layers, heads, padded(capacity) / kPanel, dim, kPanel})),
        values(Tensor::zeros(device, dtype, {layers, heads, padded(capacity), dim})) {}
  DenseKv(Device& device, int layers, int heads, int capacity, int dim)  // as the device holds its caches
      : DenseKv(device, layers, heads, capacity, dim, device.working()) {}
  // The cache of a whole prompt, which may spill where the device is full.
  static DenseKv of_prompt(Device& device, const KvShape& s) {
    DenseKv kv;
    const int panels = padded(s.tokens) / kPanel;
    kv.keys = Tensor::zeros_or_spill(device, s.dtype, {s.layers, s.kv_heads, panels, s.head_dim, kPanel});
    kv.values = Tensor::zeros_or_spill(device, s.dtype, {s.layers, s.kv_heads, panels * kPanel, s.head_dim});
    return kv;
  }

  bool empty() const { return keys.empty(); }
  int layers() const { return values.dim(0); }
  int heads() const { return values.dim(1); }
  int capacity() const { return values.dim(2); }  // entries of a lane, rounded up to whole panels
  int dim() const { return values.dim(3); }
  DType dtype() const { return values.dtype(); }
  std::size_t bytes() const { return keys.bytes() + values.bytes(); }
  const void* lane_keys(int lane) const { return keys.at(offset(lane)); }
  const void* lane_values(int lane) const { return values.at(offset(lane)); }
  void* lane_keys(int lane) { return keys.at(offset(lane)); }
  void* lane_values(int lane) { return values.at(offset(lane)); }
  // The same as elements of a known type.
  template <class T>
  const T* lane_keys(int lane) const {
    return keys.data<T>() + offset(lane);
  }
  template <class T>
  const T* lane_values(int lane) const {
    return values.data<T>() + offset(lane);
  }
  template <class T>
  T* lane_keys(int lane) {
    return keys.data<T>() + offset(lane);
  }
  template <class T>
  T* lane_values(int lane) {
    return values.data<T>() + offset(lane);
  }

  Tensor keys;    // [L, heads, capacity / 16, D, 16]
  Tensor values;  // [L, heads, capacity, D]

 private:
  std::ptrdiff_t offset(int lane) const { return std::ptrdiff_t{lane} * capacity() * dim(); }
};

// Entries of a lane that lie together, positions ascending: keys and values on the device, the rest on the host.
struct Run {
  const void* keys = nullptr;               // [entries / 16, D, 16]
  const void* values = nullptr;             // [entries, D]
  const std::int32_t* positions = nullptr;  // [entries]
  const float* bias = nullptr;              // [entries] added to the logit, or null
  const std::uint64_t* present = nullptr;   // one bit per entry, or null: all are present
  int entries = 0;
  DType dtype = DType::kF32;  // of keys and values

  bool has(int entry) const { return !present || (present[entry / 64] >> (entry % 64) & 1u); }
};

struct LaneView {
  Run base, tail;  // every position of the tail comes after every position of the base

  int present_entries() const {
    int count = tail.entries;
    for (int e = 0; e < base.entries; ++e) count += base.has(e);
    return count;
  }
};

// Rows to build, each a weighted sum of the rows of one lane; a copied row is a sum of one. CSR.
struct Recipe {
  std::vector<std::int64_t> offsets{0};  // [rows to build + 1]
  std::vector<std::int32_t> slots;       // [terms]
  std::vector<float> weights;            // [terms]

  int rows() const { return static_cast<int>(offsets.size()) - 1; }
  void push(std::span<const std::int32_t> from, std::span<const float> with_weights) {
    slots.insert(slots.end(), from.begin(), from.end());
    weights.insert(weights.end(), with_weights.begin(), with_weights.end());
    offsets.push_back(static_cast<std::int64_t>(slots.size()));
  }
};

}  // namespace evictbench
