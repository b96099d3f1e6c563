// The loops of core/cpu/kernels.h, written once and compiled for each instruction path by kernels_<path>.cpp.
// Nothing here may call an inline function of a shared header that is not forced inline, nor anything of the standard
// library: the linker would be free to take this path's copy for every path.
#include <immintrin.h>

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/cpu/kernels.h"
#include "core/dtype.h"
#include "core/numerics.h"

#define EVICTBENCH_STRING_(x) #x
#define EVICTBENCH_STRING(x) EVICTBENCH_STRING_(x)

namespace evictbench::cpu {
namespace {
namespace EVICTBENCH_PATH {

#include "core/cpu/simd.h"

struct F32Weights {
  EVICTBENCH_INLINE static V16 at(const void* w, std::ptrdiff_t i) {
    return load(static_cast<const float*>(w) + i);
  }
};
struct Bf16Weights {
  EVICTBENCH_INLINE static V16 at(const void* w, std::ptrdiff_t i) {
    return load_bf16(static_cast<const std::uint16_t*>(w) + i);
  }
};

// acc[r][c] = chain over ascending k of fma(x[r][k], w[k * stride + c * spread .. + 16], acc). The rows of x lie x_stride
// apart. This one loop does every matrix product of the f32 mode.
template <int R, int NC, class Weights>
EVICTBENCH_INLINE void multiply(const float* x, std::ptrdiff_t x_stride, const void* w, int depth,
                                std::ptrdiff_t stride, std::ptrdiff_t spread, V16 (&acc)[R][NC]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < NC; ++c) acc[r][c] = set1(0.0f);
  for (int k = 0; k < depth; ++k) {
    V16 column[NC];
    for (int c = 0; c < NC; ++c) column[c] = Weights::at(w, k * stride + c * spread);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const V16 value = set1(x[r * x_stride + k]);
      for (int c = 0; c < NC; ++c) acc[r][c] = fma(value, column[c], acc[r][c]);
    }
  }
}

template <int R, class Weights>
EVICTBENCH_INLINE void gemm_tile(const float* x, std::ptrdiff_t x_stride, const void* w, int depth,
                                 int outputs, float* y, std::ptrdiff_t y_stride) {
  for (int first = 0; first < outputs; first += 16 * kColumnTile) {
    V16 acc[R][kColumnTile];
    constexpr std::ptrdiff_t kSize = sizeof(float) / (std::is_same_v<Weights, F32Weights> ? 1 : 2);
    multiply<R, kColumnTile, Weights>(x, x_stride, static_cast<const char*>(w) + first * kSize, depth,
                                      kWeightPanel, 16, acc);
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < kColumnTile; ++c) {
        const int left = outputs - first - 16 * c;
        if (left >= 16)
          store(y + r * y_stride + first + 16 * c, acc[r][c]);
        else if (left > 0)
          store_n(y + r * y_stride + first + 16 * c, acc[r][c], left);
      }
  }
}

// Calls body.template operator()<R>(row) over tiles of R rows, the largest first.
template <int R, class Body>
EVICTBENCH_INLINE void for_tiles(int row, int rows, const Body& body) {
  for (; row + R <= rows; row += R) body.template operator()<R>(row);
  if constexpr (R > 1)
    if (row < rows) for_tiles<(R > 8 ? 8 : R > 4 ? 4 : R > 3 ? 3 : R > 2 ? 2 : 1)>(row, rows, body);
}

template <class Weights>
void gemm_of(const float* x, std::ptrdiff_t x_stride, int rows, const void* w, int depth, int outputs,
             float* y, std::ptrdiff_t y_stride) {
  for_tiles<kRowTile>(0, rows, [&]<int R>(int row) {
    gemm_tile<R, Weights>(x + row * x_stride, x_stride, w, depth, outputs, y + row * y_stride, y_stride);
  });
}

void gemm(const float* x, std::ptrdiff_t x_stride, int rows, const void* w, bool bf16, int depth, int outputs,
          float* y, std::ptrdiff_t y_stride) {
  if (bf16)
    gemm_of<Bf16Weights>(x, x_stride, rows, w, depth, outputs, y, y_stride);
  else
    gemm_of<F32Weights>(x, x_stride, rows, w, depth, outputs, y, y_stride);
}

void rms_norm(const float* x, const float* weight, int n, float eps, float* y) {
  V16 squares = set1(0.0f);
  int i = 0;
  for (; i + 16 <= n; i += 16) squares = fma(load(x + i), load(x + i), squares);
  if (i < n) squares = fma(load_n(x + i, n - i), load_n(x + i, n - i), squares);
  const V16 scale = set1(1.0f / __builtin_sqrtf(fold(squares) / static_cast<float>(n) + eps));
  for (i = 0; i + 16 <= n; i += 16) store(y + i, mul(mul(load(x + i), scale), load(weight + i)));
  if (i < n) store_n(y + i, mul(mul(load_n(x + i, n - i), scale), load_n(weight + i, n - i)), n - i);
}

void add(const float* x, float* sum, std::ptrdiff_t n) {
  for (std::ptrdiff_t i = 0; i < n; ++i) sum[i] += x[i];
}

// silu(g) u = g / (1 + e^-g) u
EVICTBENCH_INLINE V16 silu_mul(V16 gate, V16 up) {
  return mul(div(gate, add(set1(1.0f), exp(sub(set1(0.0f), gate)))), up);
}

void silu_mul(const float* gate, const float* up, float* y, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, silu_mul(load(gate + i), load(up + i)));
  if (i < n) store_n(y + i, silu_mul(load_n(gate + i, n - i), load_n(up + i, n - i)), n - i);
}

// Halves are turned against each other: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin).
void rotate(const float* x, const float* cosines, const float* sines, int dim, float* y) {
  const int half = dim / 2;
  for (int i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    y[i] = __builtin_fmaf(-b, sines[i], a * cosines[i]);
    y[i + half] = __builtin_fmaf(a, sines[i], b * cosines[i]);
  }
}

// Logits, not yet scaled, of R query rows against `panels` panels of keys -> logits[r * stride + entry].
template <int R>
EVICTBENCH_INLINE void score_panels(const float* q, int dim, const float* keys, int panels, float* logits,
                                    std::ptrdiff_t stride) {
  const std::ptrdiff_t panel_size = std::ptrdiff_t{dim} * 16;
  const auto run = [&]<int NC>(int panel) {
    V16 acc[R][NC];
    multiply<R, NC, F32Weights>(q, dim, keys + panel * panel_size, dim, 16, panel_size, acc);
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < NC; ++c) store(logits + r * stride + (panel + c) * 16, acc[r][c]);
  };
  int panel = 0;
  for (; panel + kColumnTile <= panels; panel += kColumnTile) run.template operator()<kColumnTile>(panel);
  if constexpr (kColumnTile > 1)
    for (; panel < panels; ++panel) run.template operator()<1>(panel);
}

void score_lane(const float* q, int rows, int dim, const float* keys, int entries, float* logits,
                std::ptrdiff_t stride) {
  for_tiles<kRowTile>(0, rows, [&]<int R>(int row) {
    score_panels<R>(q + row * dim, dim, keys, (entries + 15) / 16, logits + row * stride, stride);
  });
}

// part[r][d] continues its chain over keys i in [from, to): fma(weights[r][i], values[i][d], part).
template <int R, int NC>
EVICTBENCH_INLINE void mix_columns(const float* weights, std::ptrdiff_t stride, const float* const* values,
                                   int from, int to, int d, int last, float* part,
                                   std::ptrdiff_t part_stride) {
  V16 acc[R][NC];
  const auto in = [&](const float* p, int c) { return c == NC - 1 && last < 16 ? load_n(p, last) : load(p); };
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < NC; ++c) acc[r][c] = load(part + r * part_stride + d + 16 * c);
  for (int i = from; i < to; ++i) {
    V16 column[NC];
    for (int c = 0; c < NC; ++c) column[c] = in(values[i] + d + 16 * c, c);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const V16 weight = set1(weights[r * stride + i]);
      for (int c = 0; c < NC; ++c) acc[r][c] = fma(weight, column[c], acc[r][c]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < NC; ++c) store(part + r * part_stride + d + 16 * c, acc[r][c]);
}

template <int R>
EVICTBENCH_INLINE void mix(const float* weights, std::ptrdiff_t stride, const float* const* values, int from,
                           int to, int dim, float* part, std::ptrdiff_t part_stride) {
  int d = 0;
  for (; d + 16 * kColumnTile <= dim; d += 16 * kColumnTile)
    mix_columns<R, kColumnTile>(weights, stride, values, from, to, d, 16, part, part_stride);
  for (; d < dim; d += 16)
    mix_columns<R, 1>(weights, stride, values, from, to, d, dim - d < 16 ? dim - d : 16, part, part_stride);
}

constexpr int kBlock = numerics::kBlock;

// The present keys of one block of positions, common to all rows of a tile.
struct Block {
  int entries = 0;              // present
  int index[kBlock];            // in the lane
  int offset[kBlock];           // position mod 128
  const float* values[kBlock];  // rows
  bool contiguous = true;       // index and offset both ascend by one
};

EVICTBENCH_INLINE void collect(const AttendLane& lane, int from, int to, int dim, Block& block) {
  block.entries = 0;
  for (int e = from; e < to; ++e) {
    const bool in_base = e < lane.base;
    if (in_base && lane.present && !(lane.present[e / 64] >> (e % 64) & 1u)) continue;
    const int n = block.entries++;
    block.index[n] = e;
    block.offset[n] = lane.positions[e] % kBlock;
    block.values[n] = in_base ? lane.base_values + std::ptrdiff_t{e} * dim
                              : lane.tail_values + std::ptrdiff_t{e - lane.base} * dim;
  }
  const int n = block.entries;
  block.contiguous =
      n > 0 && block.index[n - 1] - block.index[0] == n - 1 && block.offset[n - 1] - block.offset[0] == n - 1;
}

// Softmax weights of one row over the first n keys of a block: -> weights[n], their maximum logit and their sum, whose
// accumulators go by position, never by count.
EVICTBENCH_INLINE void weigh(const float* logits, const Block& block, int n, float* weights, float& top,
                             float& sum) {
  alignas(64) float picked[kBlock + 16];
  if (block.contiguous) {
    for (int i = 0; i < n; i += 16) store(picked + i, load(logits + block.index[0] + i));
  } else {
    for (int i = 0; i < n; ++i) picked[i] = logits[block.index[i]];
  }
  for (int i = n; i < ((n + 15) & ~15); ++i) picked[i] = -__builtin_inff();
  V16 most = load(picked);
  for (int i = 16; i < n; i += 16) most = max(most, load(picked + i));
  top = max_of(most);
  for (int i = 0; i < n; i += 16) store(picked + i, exp(sub(load(picked + i), set1(top))));  // 0 beyond n
  alignas(64) float placed[kBlock + 16];
  for (int i = 0; i < kBlock; i += 16) store(placed + i, set1(0.0f));
  if (block.contiguous) {
    for (int i = 0; i < n; ++i) placed[block.offset[0] + i] = picked[i];
  } else {
    for (int i = 0; i < n; ++i) placed[block.offset[i]] = picked[i];
  }
  V16 acc = load(placed);
  for (int i = 16; i < kBlock; i += 16) acc = add(acc, load(placed + i));
  sum = fold(acc);
  for (int i = 0; i < n; i += 16) store(weights + i, load(picked + i));
}

constexpr int kMaxDim = 512;

struct Tile {  // rows in the making
  alignas(64) float out[kMaxRows][kMaxDim];
  alignas(64) float part[kMaxRows][kMaxDim];
  alignas(64) float weights[kMaxRows][kBlock + 16];
  float max[kMaxRows], sum[kMaxRows];
  int count[kMaxRows];  // keys of the current block that a row sees
};

// Merges row r's part of a block into what stands of it; the first part is taken as it is.
EVICTBENCH_INLINE void merge(Tile& tile, int r, float top, float sum, int dim) {
  if (tile.sum[r] == 0) {
    tile.max[r] = top;
    tile.sum[r] = sum;
    for (int d = 0; d < dim; d += 16) store(tile.out[r] + d, load(tile.part[r] + d));
    return;
  }
  const float both = top > tile.max[r] ? top : tile.max[r];
  const float a = numerics::exp(tile.max[r] - both), b = numerics::exp(top - both);
  tile.max[r] = both;
  tile.sum[r] = __builtin_fmaf(tile.sum[r], a, sum * b);
  for (int d = 0; d < dim; d += 16)
    store(tile.out[r] + d, fma(load(tile.out[r] + d), set1(a), mul(load(tile.part[r] + d), set1(b))));
}

void attend_block(const AttendRows& rows, const Block& block, int dim, const float* logits,
                  std::ptrdiff_t stride, Tile& tile) {
  float top[kMaxRows], sum[kMaxRows];
  int common = block.entries;
  for (int r = 0; r < rows.rows; ++r) {
    int n = block.entries;
    while (n > 0 && block.index[n - 1] >= rows.seen[r]) --n;
    tile.count[r] = n;
    if (n < common) common = n;
    if (n > 0) weigh(logits + r * stride, block, n, tile.weights[r], top[r], sum[r]);
    for (int d = 0; d < dim; d += 16) store(tile.part[r] + d, set1(0.0f));
  }
  for_tiles<kRowTile>(0, rows.rows, [&]<int R>(int row) {
    mix<R>(tile.weights[row], kBlock + 16, block.values, 0, common, dim, tile.part[row], kMaxDim);
  });
  for (int r = 0; r < rows.rows; ++r) {
    if (tile.count[r] > common)
      mix<1>(tile.weights[r], kBlock + 16, block.values, common, tile.count[r], dim, tile.part[r], kMaxDim);
    if (tile.count[r] > 0) merge(tile, r, top[r], sum[r], dim);
  }
}

// The attention that a row paid to each present key, in order.
void write_probabilities(const AttendLane& lane, const float* logits, int seen, float log_sum, float* out) {
  for (int e = 0; e < lane.base + lane.tail; ++e) {
    if (e < lane.base && lane.present && !(lane.present[e / 64] >> (e % 64) & 1u)) continue;
    *out++ = e < seen ? numerics::exp(logits[e] - log_sum) : 0.0f;
  }
}

void attend(const AttendLane& lane, const AttendRows& rows, int dim, float* scratch) {
  const std::ptrdiff_t stride = (lane.base + lane.tail + 63) / 16 * 16;
  float* logits = scratch;                                 // [rows, stride]
  float* q = scratch + std::ptrdiff_t{kMaxRows} * stride;  // [rows, D]
  int most = 0;
  for (int r = 0; r < rows.rows; ++r) {
    for (int d = 0; d < dim; ++d) q[r * dim + d] = rows.queries[r][d];
    if (rows.seen[r] > most) most = rows.seen[r];
  }
  const int base = most < lane.base ? most : lane.base, tail = most - base;
  score_lane(q, rows.rows, dim, lane.base_keys, base, logits, stride);
  if (tail > 0) score_lane(q, rows.rows, dim, lane.tail_keys, tail, logits + lane.base, stride);
  const V16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(dim)));
  for (int r = 0; r < rows.rows; ++r) {
    float* row = logits + r * stride;
    for (int e = 0; e < most; e += 16) store(row + e, mul(load(row + e), scale));
    if (lane.base_bias)
      for (int e = 0; e < base; ++e) row[e] += lane.base_bias[e];
  }
  static thread_local Tile tile;
  for (int r = 0; r < rows.rows; ++r) tile.sum[r] = 0;
  Block block;
  for (int b = 0, from = 0; b < lane.blocks && from < most; from = lane.block_ends[b++]) {
    collect(lane, from, lane.block_ends[b] < most ? lane.block_ends[b] : most, dim, block);
    if (block.entries > 0) attend_block(rows, block, dim, logits, stride, tile);
  }
  for (int r = 0; r < rows.rows; ++r) {
    const V16 total = set1(tile.sum[r]);
    for (int d = 0; d < dim; d += 16)
      store_n(rows.out[r] + d, div(load(tile.out[r] + d), total), dim - d < 16 ? dim - d : 16);
    const float log_sum = tile.max[r] + numerics::log(tile.sum[r]);
    *rows.log_sums[r] = log_sum;
    if (rows.probabilities)
      write_probabilities(lane, logits + r * stride, rows.seen[r], log_sum, rows.probabilities[r]);
  }
}

// ln of each lane, by the scalar definition.
EVICTBENCH_INLINE V16 log_lanes(V16 x) {
  float lane[16];
  store(lane, x);
  for (int i = 0; i < 16; ++i) lane[i] = numerics::log(lane[i]);
  return load(lane);
}

// Rows come newest first and are added in that order, so that a small window is a prefix of a large one.
V16 reduce(const float* column, int window, Reduction how) {
  V16 sum = set1(0.0f), most = set1(0.0f), entropy = set1(0.0f), squares = set1(0.0f);
  for (int w = 0; w < window; ++w) {
    const V16 p = load(column + w * 16);
    sum = add(sum, p);
    most = max(most, p);
    if (how == Reduction::kEntropy)
      entropy = fma(sub(set1(0.0f), p), log_lanes(add(p, set1(1e-10f))), entropy);
  }
  if (how == Reduction::kSum) return sum;
  if (how == Reduction::kMax) return most;
  if (how == Reduction::kEntropy) return entropy;
  const V16 mean = div(sum, set1(static_cast<float>(window)));
  for (int w = 0; w < window; ++w) {
    const V16 off = sub(load(column + w * 16), mean);
    squares = fma(off, off, squares);
  }
  return div(squares, set1(static_cast<float>(window > 1 ? window - 1 : 1)));  // unbiased
}

constexpr int kMaxWindow = 1024;

void window_panel(const float* queries, const float* log_sums, int window, const float* key_panel, int first,
                  int tokens, int dim, Reduction how, float* out) {
  static thread_local float column[kMaxWindow * 16];  // [W, 16]
  score_lane(queries, window, dim, key_panel, 16, column, 16);
  const V16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(dim)));
  for (int w = 0; w < window; ++w) {
    float* row = column + w * 16;
    const int visible = tokens - w - first;  // keys of this panel that query w sees
    store(row, exp(sub(mul(load(row), scale), set1(log_sums[w]))));
    for (int i = visible < 0 ? 0 : visible; i < 16; ++i) row[i] = 0;
  }
  store(out, reduce(column, window, how));
}

void column_panel(const float* const* queries, const float* log_sums, std::ptrdiff_t log_sum_stride, int rows,
                  int first_position, const float* key_panel, int first, int dim, float* sums) {
  const V16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(dim)));
  V16 acc = load(sums);
  for (int r = 0; r < rows; ++r) {
    const int visible = first_position + r + 1 - first;
    if (visible <= 0) continue;
    V16 logits[1][1];
    multiply<1, 1, F32Weights>(queries[r], dim, key_panel, dim, 16, 16, logits);
    const V16 p = exp(sub(mul(logits[0][0], scale), set1(log_sums[r * log_sum_stride])));
    if (visible >= 16) {
      acc = add(acc, p);
    } else {
      float lane[16];
      store(lane, p);
      acc = add(acc, load_n(lane, visible));
    }
  }
  store(sums, acc);
}

void exp_row(float* x, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store(x + i, exp(load(x + i)));
  if (i < n) store_n(x + i, exp(load_n(x + i, n - i)), n - i);
}

}  // namespace EVICTBENCH_PATH
}  // namespace

const Kernels EVICTBENCH_PATH_TABLE{
    .name = EVICTBENCH_STRING(EVICTBENCH_PATH),
    .gemm = EVICTBENCH_PATH::gemm,
    .rms_norm = EVICTBENCH_PATH::rms_norm,
    .add = EVICTBENCH_PATH::add,
    .silu_mul = EVICTBENCH_PATH::silu_mul,
    .rotate = EVICTBENCH_PATH::rotate,
    .attend = EVICTBENCH_PATH::attend,
    .window_panel = EVICTBENCH_PATH::window_panel,
    .column_panel = EVICTBENCH_PATH::column_panel,
    .exp_row = EVICTBENCH_PATH::exp_row,
};

}  // namespace evictbench::cpu
