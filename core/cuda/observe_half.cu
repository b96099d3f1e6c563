// What is observed of attention, from products on tensor cores. A warp holds its keys in registers, ready to be multiplied;
// tiles of queries are streamed past them through shared memory, one tile ahead. Sums over rows stay with the threads
// that own the columns, so that their order is fixed.
#include "core/cuda/observe_half.h"

#include <algorithm>
#include <cmath>

#include "core/cuda/launch.h"
#include "core/cuda/tensor_core.h"

namespace evictbench::cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kTileRows = 64;  // of queries, in shared memory at a time
constexpr int kStrip = 16;     // rows of one product
constexpr unsigned kEvery = 0xffffffffu;

// A head dim is padded with zeros to kSteps steps of 16.
template <int kSteps>
struct Shape {
  static constexpr int kPanels = kSteps > 8 ? 1 : 2;  // of keys, of a warp
  static constexpr int kKeys = kWarps * kPanels * kPanel;
  static constexpr int kColumns = 2 * kPanels;                    // tiles of 8 keys
  static constexpr int kPanelBytes = kSteps * 16 * kPanel * 2;    // of a panel of keys
  static constexpr int kTileBytes = kTileRows * kSteps * 16 * 2;  // of a tile of queries
  static constexpr int kShared = 2 * kTileBytes;                  // dynamic; the keys pass through it first
  static_assert(kWarps * kPanels * kPanelBytes <= kShared);
};

__device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) / 32; }
__device__ __forceinline__ int lane_of_warp() { return static_cast<int>(threadIdx.x) % 32; }

// The keys of a warp as factors, from panel `first` on; 0 beyond the head dim and behind the lane's last panel.
template <class T, int kSteps>
struct Keys {
  using S = Shape<kSteps>;

  __device__ Keys(const T* lane, int first, int panels, int dim, unsigned char* shared) {
    unsigned char* mine = shared + warp() * S::kPanels * S::kPanelBytes;
    for (int i = lane_of_warp(); i < S::kPanels * kSteps * 32; i += 32) {
      const int panel = i / (kSteps * 32), d = i / 2 % (kSteps * 16), half = i % 2;
      const bool there = first + panel < panels && d < dim;
      const T* from = lane + (there ? (std::ptrdiff_t{first + panel} * dim + d) * kPanel + half * 8 : 0);
      copy_16(at(mine, panel, d, half), from, there ? 16 : 0);
    }
    commit_copies();
    wait_copies<0>();
    __syncwarp();
    const int matrix = lane_of_warp() / 8, row = lane_of_warp() % 8;
    EVICTBENCH_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      EVICTBENCH_UNROLL
      for (int panel = 0; panel < S::kPanels; ++panel) {
        std::uint32_t words[4];
        load_matrices_transposed(words, at(mine, panel, step * 16 + matrix % 2 * 8 + row, matrix / 2));
        factor[step][2 * panel] = {{words[0], words[1]}};
        factor[step][2 * panel + 1] = {{words[2], words[3]}};
      }
    }
    __syncthreads();  // the shared memory is free again
  }
  FragmentB factor[kSteps][S::kColumns];

 private:
  // Eight dimensions lie in different banks.
  __device__ static unsigned char* at(unsigned char* mine, int panel, int d, int half) {
    return mine + panel * S::kPanelBytes + d * 32 + (half ^ (d / 4 % 2)) * 16;
  }
};

// Rows of queries and their log sums.
template <class T>
struct Queries {
  const T* rows;
  std::ptrdiff_t stride;
  const float* log_sums;
  std::ptrdiff_t log_stride;
  int count;  // at most kTileRows
};

constexpr float kLog2 = numerics::kLog2e;

// Two tiles of queries in shared memory, one worked on, one on its way.
template <class T, int kSteps>
class Tiles {
 public:
  __device__ Tiles(unsigned char* shared, float* log_sums) : shared_(shared), log_sums_(log_sums) {}

  __device__ void load(int stage, const Queries<T>& queries, int dim) {
    constexpr int kChunks = 2 * kSteps;  // of 16 bytes in a row
    const int strips = (queries.count + kStrip - 1) / kStrip;
    for (int i = static_cast<int>(threadIdx.x); i < strips * kStrip * kChunks; i += kThreads) {
      const int row = i / kChunks, chunk = i % kChunks;
      const bool there = row < queries.count && chunk * 8 < dim;
      copy_16(at(stage, row, chunk), queries.rows + (there ? row * queries.stride + chunk * 8 : 0),
              there ? 16 : 0);
    }
    if (const int row = static_cast<int>(threadIdx.x); row < kTileRows)
      log_sums_[stage * kTileRows + row] =
          row < queries.count ? queries.log_sums[row * queries.log_stride] * kLog2 : __builtin_inff();
  }

  // Logits, not scaled, of 16 rows and all keys of the warp.
  __device__ void score(int stage, int strip, const Keys<T, kSteps>& keys,
                        FragmentC (&c)[Shape<kSteps>::kColumns]) const {
    EVICTBENCH_UNROLL
    for (FragmentC& column : c) column = {};
    const int matrix = lane_of_warp() / 8, row = strip * kStrip + matrix % 2 * 8 + lane_of_warp() % 8;
    EVICTBENCH_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      FragmentA a;
      load_matrices(a.word, at(stage, row, 2 * step + matrix / 2));
      EVICTBENCH_UNROLL
      for (int n = 0; n < Shape<kSteps>::kColumns; ++n) multiply_add<T>(c[n], a, keys.factor[step][n]);
    }
  }

  // In powers of 2; infinite where there is no row, so that its attention is 0.
  __device__ float log_sum(int stage, int row) const { return log_sums_[stage * kTileRows + row]; }

 private:
  __device__ unsigned char* at(int stage, int row, int chunk) const {  // eight rows lie in different banks
    return shared_ + stage * Shape<kSteps>::kTileBytes + row * kSteps * 32 + (chunk ^ row % 8) * 16;
  }

  unsigned char* shared_;
  float* log_sums_;  // [2, kTileRows]
};

// Attention from a logit that is not scaled.
struct Weigh {
  __device__ Weigh(int dim, float cap)
      : scale(1.0f / numerics::sqrt(static_cast<float>(dim))), softcap(cap) {}
  __device__ float operator()(float logit, float log_sum) const {
    if (softcap > 0)
      return fast_exp2(numerics::fma(numerics::softcap(logit * scale, softcap), kLog2, -log_sum));
    return fast_exp2(numerics::fma(logit, scale * kLog2, -log_sum));
  }
  float scale, softcap;
};

// Over the rows of a column, which eight lanes of a warp share.
template <class Join>
__device__ __forceinline__ float join_rows(float x, const Join& join) {
  for (int step = 4; step < 32; step *= 2) x = join(x, __shfl_xor_sync(kEvery, x, step));
  return x;
}
__device__ __forceinline__ float add_rows(float x) {
  return join_rows(x, [](float a, float b) { return a + b; });
}

// What a thread has of the reductions of a window: over its rows, of the two keys of each tile that it holds.
template <int kColumns>
struct Partial {
  __device__ void clear(bool again) {
    EVICTBENCH_UNROLL
    for (int i = 0; i < 2 * kColumns; ++i) {
      if (!again) sum[i] = most[i] = entropy[i] = 0;
      squares[i] = 0;
    }
  }
  __device__ void add(int i, float p, bool entropies) {
    sum[i] += p;
    most[i] = p > most[i] ? p : most[i];
    if (entropies) entropy[i] = numerics::fma(-p, numerics::log(p + 1e-10f), entropy[i]);
  }
  __device__ void add_again(int i, float p) {
    squares[i] = numerics::fma(p - sum[i], p - sum[i], squares[i]);
  }
  // Joins what the threads of a key have. write(reduction, i, value)
  template <class Write>
  __device__ void finish(bool again, bool entropies, int window, const Write& write) {
    EVICTBENCH_UNROLL
    for (int i = 0; i < 2 * kColumns; ++i) {
      if (again) {
        const float unbiased = static_cast<float>(window > 1 ? window - 1 : 1);
        write(Reduction::kVariance, i, add_rows(squares[i]) / unbiased);
        continue;
      }
      const float total = add_rows(sum[i]);
      write(Reduction::kSum, i, total);
      write(Reduction::kMax, i, join_rows(most[i], [](float a, float b) { return a > b ? a : b; }));
      if (entropies) write(Reduction::kEntropy, i, add_rows(entropy[i]));
      sum[i] = total / static_cast<float>(window);
    }
  }

  float sum[2 * kColumns];  // the mean, when rows pass by again
  float most[2 * kColumns], entropy[2 * kColumns], squares[2 * kColumns];
};

// Block (keys, layer and KV head). queries [L, H, kept, D] newest first, log_sums [L, H, kept], keys [L, G] lanes. Every
// head's queries pass by once, and again where its variance is wanted.
template <class T, int kSteps>
__global__ void __launch_bounds__(kThreads)
    reduce_window(const T* queries, const float* log_sums, int kept, const T* keys, std::ptrdiff_t lane,
                  const AttentionForm* forms, int heads, int kv_heads, int dim, int tokens, int window,
                  Reduced reduced, bool variance, bool entropies) {
  using S = Shape<kSteps>;
  EVICTBENCH_DYNAMIC_SHARED(shared);
  __shared__ float log_sum_tiles[2 * kTileRows];
  const int panel = (static_cast<int>(blockIdx.x) * kWarps + warp()) * S::kPanels;
  const Keys<T, kSteps> mine(keys + blockIdx.y * lane, panel, static_cast<int>(lane / dim) / kPanel, dim,
                             shared);
  Tiles<T, kSteps> tiles(shared, log_sum_tiles);
  const AttentionForm form = forms[static_cast<int>(blockIdx.y) / kv_heads];
  const Weigh weigh(dim, form.softcap);
  const int group = heads / kv_heads, of_window = (window + kTileRows - 1) / kTileRows,
            of_head = of_window * (variance ? 2 : 1);  // tiles
  const auto row_of = [&](int i) { return static_cast<std::ptrdiff_t>(blockIdx.y) * group + i / of_head; };
  const auto load = [&](int i) {
    if (i < group * of_head) {
      const int w = i % of_window * kTileRows;
      const std::ptrdiff_t at = row_of(i) * kept + w;
      tiles.load(i % 2,
                 {queries + at * dim, dim, log_sums + at, 1, window - w < kTileRows ? window - w : kTileRows},
                 dim);
    }
    commit_copies();
  };

  const int g = lane_of_warp() / 4, first_key = panel * kPanel + lane_of_warp() % 4 * 2;
  Partial<S::kColumns> partial;
  load(0);
  for (int i = 0; i < group * of_head; ++i) {
    load(i + 1);
    wait_copies<1>();
    __syncthreads();
    const bool again = i % of_head >= of_window;
    const int w = i % of_window * kTileRows;
    if (w == 0) partial.clear(again);
    for (int strip = 0; strip * kStrip < kTileRows && w + strip * kStrip < window; ++strip) {
      FragmentC c[S::kColumns];
      tiles.score(i % 2, strip, mine, c);
      EVICTBENCH_UNROLL
      for (int v = 0; v < 4 * S::kColumns; ++v) {
        const int row = strip * kStrip + g + v / 2 % 2 * 8, t = first_key + v / 4 * 8 + v % 2,
                  position = tokens - 1 - w - row, mine_of = v / 4 * 2 + v % 2;
        const bool sees = t <= position && (form.window == 0 || t > position - form.window);
        const float p = sees ? weigh(c[v / 4].v[v % 4], tiles.log_sum(i % 2, row)) : 0.0f;
        if (!again)
          partial.add(mine_of, p, entropies);
        else if (w + row < window)
          partial.add_again(mine_of, p);
      }
    }
    __syncthreads();
    if (w + kTileRows < window) continue;
    partial.finish(again, entropies, window, [&](Reduction how, int k, float value) {
      const int t = first_key + k / 2 * 8 + k % 2;
      for (int out = 0; out < reduced.count; ++out)
        if (reduced.how[out] == how && g == 0 && t < tokens) reduced.out[out][row_of(i) * tokens + t] = value;
    });
  }
  wait_copies<0>();
}

// Block (keys, query head). queries [N, H, D], log_sums [N, H], keys [G] lanes, sums [H, T]. Rows that see none of the
// keys are left out.
template <class T, int kSteps>
__global__ void __launch_bounds__(kThreads)
    sum_columns(const T* queries, const float* log_sums, int rows, int first_position, const T* keys,
                std::ptrdiff_t lane, AttentionForm form, int kv_heads, int dim, int keys_seen, int tokens,
                float* sums) {
  using S = Shape<kSteps>;
  EVICTBENCH_DYNAMIC_SHARED(shared);
  __shared__ float log_sum_tiles[2 * kTileRows];
  const int head = static_cast<int>(blockIdx.y), heads = static_cast<int>(gridDim.y);
  const int panel = (static_cast<int>(blockIdx.x) * kWarps + warp()) * S::kPanels;
  const Keys<T, kSteps> mine(keys + head * kv_heads / heads * lane, panel,
                             static_cast<int>(lane / dim) / kPanel, dim, shared);
  Tiles<T, kSteps> tiles(shared, log_sum_tiles);
  const Weigh weigh(dim, form.softcap);
  const int block_first = static_cast<int>(blockIdx.x) * S::kKeys, block_last = block_first + S::kKeys - 1,
            warp_first = panel * kPanel, warp_last = warp_first + S::kPanels * kPanel - 1;
  const int begin = block_first > first_position ? block_first - first_position : 0;
  const std::ptrdiff_t gone =
      form.window > 0 ? std::ptrdiff_t{block_last} + form.window - first_position : rows;
  const int end = gone < rows ? static_cast<int>(gone) : rows;
  const auto load = [&](int n, int stage) {
    if (n < end)
      tiles.load(
          stage,
          {queries + (std::ptrdiff_t{n} * heads + head) * dim, std::ptrdiff_t{heads} * dim,
           log_sums + std::ptrdiff_t{n} * heads + head, heads, end - n < kTileRows ? end - n : kTileRows},
          dim);
    commit_copies();
  };

  const int g = lane_of_warp() / 4, first_key = warp_first + lane_of_warp() % 4 * 2;
  float sum[S::kColumns][2] = {};
  load(begin, 0);
  for (int n = begin, stage = 0; n < end; n += kTileRows, stage = 1 - stage) {
    load(n + kTileRows, 1 - stage);
    wait_copies<1>();
    __syncthreads();
    for (int strip = 0; strip * kStrip < kTileRows && n + strip * kStrip < end; ++strip) {
      const int oldest = first_position + n + strip * kStrip, newest = oldest + kStrip - 1;
      if (newest < warp_first || (form.window > 0 && oldest - form.window >= warp_last)) continue;
      const bool all_see = oldest >= warp_last && (form.window == 0 || newest - form.window < warp_first);
      FragmentC c[S::kColumns];
      tiles.score(stage, strip, mine, c);
      EVICTBENCH_UNROLL
      for (int column = 0; column < S::kColumns; ++column) {
        EVICTBENCH_UNROLL
        for (int v = 0; v < 4; ++v) {
          const int row = g + v / 2 * 8, position = oldest + row, t = first_key + column * 8 + v % 2;
          const bool sees = all_see || (t <= position && (form.window == 0 || t > position - form.window));
          const float p = weigh(c[column].v[v], tiles.log_sum(stage, strip * kStrip + row));
          sum[column][v % 2] += sees ? p : 0.0f;
        }
      }
    }
    __syncthreads();
  }
  wait_copies<0>();
  EVICTBENCH_UNROLL
  for (int column = 0; column < S::kColumns; ++column)
    for (int j = 0; j < 2; ++j) {
      const int t = first_key + column * 8 + j;
      const float total = add_rows(sum[column][j]);
      if (g == 0 && t < keys_seen) sums[std::ptrdiff_t{head} * tokens + t] += total;
    }
}

constexpr int kMostDim = 256;

// Calls f with a type and a number of steps that hold such heads.
template <class F>
void with_shape(DType dtype, int dim, const F& f) {
  const auto of_type = [&]<class T>(T t) {
    if (dim <= 64)
      f.template operator()<T, 4>(t);
    else if (dim <= 128)
      f.template operator()<T, 8>(t);
    else
      f.template operator()<T, 16>(t);
  };
  if (dtype == DType::kBF16)
    of_type(Bf16{});
  else
    of_type(F16{});
}

}  // namespace

bool observes_half(DType dtype, int dim) {
  return (dtype == DType::kBF16 || dtype == DType::kF16) && dim % 8 == 0 && dim <= kMostDim;
}

void reduce_window_half(Device& device, const Tensor& queries, const Tensor& log_sums, const DenseKv& cache,
                        const AttentionForm* forms, int tokens, int window, const Reduced& reduced) {
  const int H = queries.dim(1), D = queries.dim(3);
  const auto wants = [&](Reduction how) {
    return std::count(reduced.how, reduced.how + reduced.count, how) > 0;
  };
  with_shape(queries.dtype(), D, [&]<class T, int kSteps>(T) {
    using S = Shape<kSteps>;
    launch(device, reduce_window<T, kSteps>,
           {{static_cast<unsigned>(ceil_div(tokens, S::kKeys)),
             static_cast<unsigned>(cache.layers() * cache.heads())},
            kThreads,
            S::kShared},
           static_cast<const T*>(queries.at(0)), log_sums.data<float>(), queries.dim(2),
           static_cast<const T*>(cache.lane_keys(0)), std::ptrdiff_t{cache.capacity()} * D, forms, H,
           cache.heads(), D, tokens, window, reduced, wants(Reduction::kVariance),
           wants(Reduction::kEntropy));
  });
}

void add_column_sums_half(Device& device, const DenseKv& cache, int layer, AttentionForm form,
                          const Tensor& queries, const Tensor& log_sums, int first_position, Tensor& sums) {
  const int N = queries.dim(0), H = queries.dim(1), D = queries.dim(2), tokens = sums.dim(2);
  const int keys_seen = std::min(tokens, first_position + N);
  with_shape(queries.dtype(), D, [&]<class T, int kSteps>(T) {
    using S = Shape<kSteps>;
    launch(device, sum_columns<T, kSteps>,
           {{static_cast<unsigned>(ceil_div(keys_seen, S::kKeys)), static_cast<unsigned>(H)},
            kThreads,
            S::kShared},
           static_cast<const T*>(queries.at(0)), log_sums.data<float>(), N, first_position,
           static_cast<const T*>(cache.lane_keys(layer * cache.heads())),
           std::ptrdiff_t{cache.capacity()} * D, form, cache.heads(), D, keys_seen, tokens,
           sums.data<float>() + std::ptrdiff_t{layer} * H * tokens);
  });
}

}  // namespace evictbench::cuda
