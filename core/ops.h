#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/forms.h"
#include "core/lane.h"
#include "core/scores.h"
#include "core/stat.h"
#include "core/tensor.h"
#include "core/weight_rows.h"

namespace evictbench {

enum class Pool { kMax, kMean };        // max over what is in range; mean always divides by the kernel
enum class HeadReduce { kMean, kMax };  // of the query heads of a group
enum class Grouping { kContiguous, kStrided };  // strided only in published variants

// A weight matrix in the device's own layout, made once at load: y = x wᵀ.
struct PackedMatrix {
  int outputs = 0, depth = 0;
  DType dtype = DType::kF32;  // f32, f16 or bf16; widening is exact, so it changes no bit
  bool pairs = false;         // bf16 in pairs, for mode bf16dot: its own bits
  Tensor panels;              // the device's own layout
};

// New entries: rows first_row .. first_row + rows of a batch go to entries first_entry .. of every lane of a layer.
struct StoreTask {
  DenseKv* to = nullptr;
  int first_row = 0, rows = 0, first_entry = 0;
};

// Kept entries of one lane, copied: entries of a base and, of a live cache, entries of a tail behind them.
struct GatherTask {
  struct Source {
    const void *keys = nullptr, *values = nullptr;  // as in Run
    std::span<const std::int32_t> slots;            // ascending
  };
  Source base;
  void *to_keys = nullptr, *to_values = nullptr;  // a lane of at least padded(entries()) entries
  Source tail = {};

  int entries() const { return static_cast<int>(base.slots.size() + tail.slots.size()); }
};

// Query rows that read one lane: rows first_row .. first_row + rows of the batch, heads first_head .. first_head +
// heads. Row r stands at position + r and sees keys up to there.
struct AttendTask {
  LaneView lane;
  int first_row = 0, rows = 0;
  int first_head = 0, heads = 0;
  std::int32_t position = 0;
  AttentionForm form{};
  // [rows, heads, entries] on the host, after the softmax, 0 where not seen; if wanted
  float* probabilities = nullptr;
};

// Everything a device can do beyond memory. A new device is one class and one of these tables.
// Activations (qkv, q, k, v and what matmul, a norm or activate gives), keys and values are of type
// Device::working(); x, the sum of all layers, is f32, and so are logits, log-sums, weights of norms, biases, cosines and
// sines, statistics and scores.
struct Ops {
  // --- weights and dense rows. N rows; every output is one chain of fused multiply-adds over ascending depth --------
  PackedMatrix (*pack)(Device&, std::span<const WeightRows> parts, int depth);  // parts one below the other
  // The index of each row's greatest number, ties to the lower one; -1 where not all are finite. [N, V]
  std::vector<std::int32_t> (*best)(Device&, const Tensor& logits);
  void (*embed)(Device&, const PackedMatrix& table, std::span<const std::int32_t> ids,
                Tensor& out);                                                  // -> [N, C]
  void (*matmul)(Device&, const Tensor& x, const PackedMatrix& w, Tensor& y);  // [N, depth] -> [N, outputs]
  void (*rms_norm)(Device&, const Tensor& x, const Tensor& weight, float eps,
                   Tensor& y);  // [N, C], [C] -> [N, C]
  // (x - mean) / sqrt(variance + eps) weight + bias
  void (*layer_norm)(Device&, const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                     Tensor& y);                                // [N, C], [C], [C] -> [N, C]
  void (*add)(Device&, const Tensor& x, Tensor& sum);           // sum += x
  void (*add_bias)(Device&, const Tensor& bias, Tensor& rows);  // [n] to each of [N, n]
  void (*scale)(Device&, float factor, Tensor& x);              // x *= factor
  void (*softcap)(Device&, float cap, Tensor& x);               // x = cap tanh(x / cap)
  // Rows of a table [.., n] of any type, one after the other -> [.., n]
  void (*take_rows)(Device&, const Tensor& table, std::span<const std::int32_t> rows, Tensor& out);
  // gate and up [N, 2F] -> activation(gate) up [N, F]; [N, F] alone -> activation [N, F]
  void (*activate)(Device&, Activation, const Tensor& gate_up, Tensor& y);
  // An RMS norm of each of the heads first_head .. first_head + heads of rows [N, any D], in place; weight [D]
  void (*norm_heads)(Device&, const Tensor& weight, float eps, int first_head, int heads, Tensor& rows);
  // qkv [N, (H + 2G) D] -> q [N, H, D], k and v [N, G, D]; of each head of q and k the first dims turned by cosines and
  // sines [N, dims / 2], which may be empty
  void (*split_rotate)(Device&, const Tensor& qkv, const Tensor& cosines, const Tensor& sines, Tensor& q,
                       Tensor& k, Tensor& v);
  // The same turn of rows [n, D] alone, in place; cosines and sines [n, dims / 2]
  void (*rotate)(Device&, const Tensor& cosines, const Tensor& sines, Tensor& rows);

  // --- cache and attention ------------------------------------------------------------------------------------------
  void (*store)(Device&, const Tensor& k, const Tensor& v, int layer,
                std::span<const StoreTask>);  // [N, G, D]
  // queries [N, H, D] -> out [N, H, D], log_sums [N, H] (log-sum-exp of the logits)
  void (*attend)(Device&, std::span<const AttendTask>, const Tensor& queries, Tensor& out, Tensor& log_sums);
  // sums[layer] [H, T] += attention of these rows (rows first_position .. of the prompt), oldest row first
  void (*add_column_sums)(Device&, const DenseKv&, int layer, AttentionForm, const Tensor& queries,
                          const Tensor& log_sums, int first_position, Tensor& sums);
  // Of these rows (positions first .. of a prompt of `tokens`), those among the last W -> layer `layer` of window_queries
  // [L, H, W, D] and window_log_sums [L, H, W], newest first.
  void (*keep_window)(Device&, const Tensor& queries, const Tensor& log_sums, int layer, int first,
                      int tokens, Tensor& window_queries, Tensor& window_log_sums);
  // Lanes of one type and head dim.
  void (*gather)(Device&, DType, int dim, std::span<const GatherTask>);
  // Weighted sums of the rows of one lane -> f32 [rows, D] on the device, keys and values.
  void (*combine)(Device&, DType, const void* keys, const void* values, const Recipe&, Tensor& key_rows,
                  Tensor& value_rows);
  // Plain f32 rows [n, D] -> a lane, rounded to its type.
  void (*put_rows)(Device&, const Tensor& key_rows, const Tensor& value_rows, DType, void* keys,
                   void* values);

  // --- observe ------------------------------------------------------------------------------------------------------
  // queries [L, H, Wmax, D] newest first, log_sums [L, H, Wmax], forms [L] -> [L, H, T] of each reduction, in one pass
  std::vector<Tensor> (*window_attention)(Device&, const Tensor& queries, const Tensor& log_sums,
                                          const DenseKv&, std::span<const AttentionForm> forms, int tokens,
                                          int window, std::span<const Reduction>);
  Tensor (*key_norms)(Device&, const DenseKv&, int tokens);    // -> [L, G, T]
  Tensor (*value_norms)(Device&, const DenseKv&, int tokens);  // -> [L, G, T]

  // --- score and rank -----------------------------------------------------------------------------------------------
  Tensor (*negate)(Device&, const Tensor& scores);
  Tensor (*reduce_heads)(Device&, const Tensor& scores, int kv_heads, HeadReduce,
                         Grouping);                                      // [L, H, T] -> [L, G, T]
  Tensor (*pool)(Device&, const Scores&, Pool, int kernel, int window);  // slots before the window only
  Tensor (*rank)(Device&, const Scores&, Protect);                       // -> i32, Ranking::order
  // How many of the best `take[l]` unprotected entries of layer l belong to each head -> [L * heads]
  std::vector<std::int32_t> (*contest)(Device&, const Scores&, const Ranking&,
                                       std::span<const std::int64_t> take);
  // The first shares[i] slots of row i, ascending, one row after the other.
  std::vector<std::int32_t> (*prefix)(Device&, const Tensor& order, std::span<const std::int32_t> shares);
};

}  // namespace evictbench
