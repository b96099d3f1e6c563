#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/forms.h"
#include "core/stat.h"

// The inner loops, compiled once for each instruction path. They know nothing of threads, devices or tensors.
namespace evictbench::cpu {

constexpr int kWeightPanel = 32;  // outputs that lie together in a packed weight matrix

// Where one row of a tile of queries sees what: a lane in concatenated order, base entries before tail entries.
struct AttendLane {
  const float *base_keys, *base_values;  // [base / 16, D, 16], [base, D]
  const float *tail_keys, *tail_values;
  int base, tail;                // entries
  const float* base_bias;        // [base] or null
  const std::uint64_t* present;  // bits over the base, or null
  const std::int32_t *base_positions, *tail_positions;
  const std::int32_t* block_ends;  // [blocks] entry after the last one of each block of 128 positions
  int blocks;
  float softcap;  // of the logits; 0: none
  // Mode bf16dot, of the base, for those who meet it often: what pair_keys() makes of it, or null; and what pair_values()
  // makes of it, which needs every block to begin at an even entry, or null
  const float *key_words = nullptr, *value_words = nullptr;
};

struct AttendRows {
  int rows;                     // at most kMaxRows
  const float* const* queries;  // [rows] -> [D]
  const int* from;              // [rows] the first entry that a row sees
  const int* seen;              // [rows] entry after the last one
  float* const* out;            // [rows] -> [D]
  float* const* log_sums;       // [rows] -> 1
  float* const* probabilities;  // [rows] -> [present entries], or null
};
constexpr int kMaxRows = 72;
constexpr int kMaxDim = 512;  // D

constexpr int kDepthPiece = 1024;  // of a matrix product: what is between two visits of an output
constexpr int kAttendSpan = 256;   // entries whose logits are held at once, unless one block has more

// Logits of a row that attend holds at once, and the floats of its scratch.
constexpr std::ptrdiff_t attend_stride(int entries, bool probabilities) {
  return ((probabilities || entries < kAttendSpan ? entries : kAttendSpan) + 63) / 16 * 16;
}
constexpr std::size_t attend_scratch(int entries, int dim, bool probabilities) {
  return static_cast<std::size_t>(kMaxRows * (attend_stride(entries, probabilities) + 2 * dim) + 16);
}

struct Kernels {
  const char* name;
  // Rows as gemm wants them -> out [rows * depth]. A single row stays as it is.
  void (*pack_rows)(const float* x, std::ptrdiff_t x_stride, int rows, int depth, float* out);
  // y[rows, outputs] = x wᵀ for rows that were packed together; w [panels, depth, 32] f32, bf16 or f16. `scratch` holds
  // kDepthPiece * 32 floats
  void (*gemm)(const float* packed, int rows, const void* w, DType, int depth, int outputs, float* y,
               std::ptrdiff_t y_stride, float* scratch);
  // Mode bf16dot, or null where the machine has no such instruction: rows as gemm_pairs wants them, words of two bf16
  // each (the last one filled up with 0) -> out [rows * pairs]; the product of such rows with w [panels, pairs, 32];
  // words of two dims of a key [panels, (D + 1) / 2, 16], and of two entries' values [(entries + 1) / 2, D up to a
  // multiple of 16]; and attend() from such words of queries and keys, weights and values
  void (*pack_pairs)(const float* x, int rows, int depth, float* out);
  void (*gemm_pairs)(const float* packed, int rows, const void* w, int pairs, int outputs, float* y,
                     std::ptrdiff_t y_stride);
  void (*pair_keys)(const float* keys, int panels, int dim, float* words);
  void (*pair_values)(const float* values, int entries, int dim, float* words);
  void (*attend_pairs)(const AttendLane&, const AttendRows&, int dim, float* scratch);
  int (*best)(const float* x, int n);  // of the greatest, the first; -1 unless all are finite
  void (*rms_norm)(const float* x, const float* weight, int n, float eps, float* y);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, int n, float eps, float* y);
  void (*add)(const float* x, float* sum, std::ptrdiff_t n);
  void (*scale)(float factor, float* x, std::ptrdiff_t n);
  void (*softcap)(float cap, float* x, std::ptrdiff_t n);
  void (*activate)(Activation, const float* gate, const float* up, float* y, int n);  // up may be null
  // One head: of its dims the first 2 pairs turn, the rest are copied.
  void (*rotate)(const float* x, const float* cosines, const float* sines, int dim, int pairs, float* y);
  // `scratch` holds attend_scratch() floats
  void (*attend)(const AttendLane&, const AttendRows&, int dim, float* scratch);
  // Attention of `window` queries (newest first, the newest at token tokens - 1) on every key of a lane, reduced to one
  // number a key in each of `count` ways -> out[i][tokens]. queries [window, D], log_sums [window], scratch
  // [window * (32 + D)]
  void (*window_row)(const float* queries, const float* log_sums, int window, const float* keys, int tokens,
                     int dim, AttentionForm, const Reduction* how, int count, float* const* out,
                     float* scratch);
  // sums[16 panels] += attention of query rows, the oldest first, its position first_position, on the keys of `panels`
  // panels from key `first` on. At most kMaxRows rows that were packed together; log_sums[r * stride]; scratch
  // [kMaxRows, 16 panels]
  void (*column_sums)(const float* packed, const float* log_sums, std::ptrdiff_t stride, int rows,
                      int first_position, const float* keys, int first, int panels, int dim, AttentionForm,
                      float* sums, float* scratch);
  void (*key_norms)(const float* key_panel, int dim, float* norms);  // of 16 keys
  float (*norm)(const float* x, int n);
  void (*exp_row)(float* x, int n);  // in place
};

extern const Kernels kPortableKernels, kAvx2Kernels, kAvx512Kernels, kAvx512Bf16Kernels;

// The paths that this machine can run, slowest first.
std::vector<const Kernels*> available_kernels();
const Kernels& kernels_named(
    std::string_view name);  // "": the widest; an unknown or missing path is an Error

}  // namespace evictbench::cpu
