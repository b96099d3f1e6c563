#include "core/cuda/products.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/cuda/launch.h"
#include "core/cuda/tensor_core.h"

// y = x wᵀ on tensor cores. Whatever the tile, an output is one chain of multiply_add() over ascending depth, 16 words a
// step, and no two threads share an output: all tiles give the same bits, and a row's do not depend on other rows. Words
// beyond the depth are zeros, whose products change no sum.
namespace evictbench::cuda {
namespace {

constexpr int kThreads = 128;  // four warps, two by two over a tile
constexpr int kVector = 8;     // words of 16 bytes
constexpr int kGroup = 8;      // row tiles that go through all outputs together

template <int rows, int outputs, int depth, int stages, int blocks>
struct Tile {
  static constexpr int kRows = rows, kOutputs = outputs;
  static constexpr int kDepth = depth;    // of a stage
  static constexpr int kStages = stages;  // of which all but one are on their way
  static constexpr int kBlocks = blocks;  // at a time on a multiprocessor of sm_90
  static constexpr int kStageWords = (rows + outputs) * depth;
  static constexpr std::size_t kSharedBytes = std::size_t{2} * kStages * kStageWords;
};
// Few rows are a matter of reading w: many bytes on their way, and tiles for every multiprocessor.
using Narrow = Tile<32, 32, 128, 6, 2>;
using Wide = Tile<32, 64, 128, 4, 2>;
using Square = Tile<64, 64, 64, 4, 3>;
using Large = Tile<128, 128, 32, 4, 2>;

// Where 16 bytes number c of row r stand in a tile of such rows: turned so that eight rows meet all banks.
template <int kDepth>
__device__ __forceinline__ int place(int r, int c) {
  constexpr int kChunks = kDepth / kVector, kTurns = kChunks < 8 ? kChunks : 8;
  return (r * kChunks + (c ^ (r / (8 / kTurns) % kTurns))) * kVector;
}

// What a thread copies of every tile [kRows, kDepth] of a matrix [rows, depth], whose rows begin at `first`: the same 16
// bytes of every kStep-th row. What lies outside the matrix is 0.
template <class T, int kRows, int kDepth>
class Copier {
 public:
  __device__ __forceinline__ Copier(const T* matrix, int first, int rows, int depth)
      : row_(static_cast<int>(threadIdx.x) / kChunks),
        word_(static_cast<int>(threadIdx.x) % kChunks * kVector),
        rows_(rows - first),
        depth_(depth),
        matrix_(matrix),
        from_(matrix + static_cast<std::ptrdiff_t>(first + row_) * depth + word_) {}
  // Begins with words k .. k + kDepth.
  __device__ __forceinline__ void copy(std::uint16_t* tile, int k) const {
    std::uint16_t* const to = tile + place<kDepth>(row_, word_ / kVector);  // the turn of every kStep-th row
    EVICTBENCH_UNROLL
    for (int row = 0; row < kRows; row += kStep) {
      const bool inside = row_ + row < rows_ && word_ + k < depth_;
      copy_16(to + row * kDepth, inside ? from_ + static_cast<std::ptrdiff_t>(row) * depth_ + k : matrix_,
              inside ? 16 : 0);
    }
  }

 private:
  static constexpr int kChunks = kDepth / kVector, kStep = kThreads / kChunks;
  static_assert(kStep % 8 == 0 && kRows % kStep == 0);
  int row_, word_, rows_, depth_;
  const T* matrix_;
  const T* from_;
};

// Two neighbours of a row; `left`: outputs from the first one on. They lie on their size where rows have an even number.
template <class Out>
struct alignas(2 * sizeof(Out)) Neighbours {
  Out first, second;
};
template <class Out>
__device__ __forceinline__ void store(Out* y, float first, float second, int left, bool even) {
  if (even) {
    if (left > 0) *reinterpret_cast<Neighbours<Out>*>(y) = {narrow<Out>(first), narrow<Out>(second)};
  } else {
    if (left > 0) y[0] = narrow<Out>(first);
    if (left > 1) y[1] = narrow<Out>(second);
  }
}

// x [rows, depth], w [outputs, depth] -> y [rows, outputs]; depth a multiple of 8. A block makes one tile of y.
template <class Tile, class T, class Out>
__global__ void __launch_bounds__(kThreads, Tile::kBlocks)
    multiply_tile(const T* x, const T* w, Out* y, int rows, int outputs, int depth) {
  constexpr int kDepth = Tile::kDepth, kStages = Tile::kStages;
  constexpr int kWarpRows = Tile::kRows / 2, kWarpOutputs = Tile::kOutputs / 2;
  constexpr int kDown = kWarpRows / 16, kAcross = kWarpOutputs / 8;  // products of a warp
  EVICTBENCH_DYNAMIC_SHARED(shared);
  auto* const stages = reinterpret_cast<std::uint16_t*>(shared);  // [stages, rows + outputs, depth]

  // Groups of row tiles, so that what blocks of the same time read stays in the L2 cache.
  const int tiles = (rows + Tile::kRows - 1) / Tile::kRows;
  const int across = (outputs + Tile::kOutputs - 1) / Tile::kOutputs;
  const int block = static_cast<int>(blockIdx.x), group = block / (kGroup * across) * kGroup;
  const int height = tiles - group < kGroup ? tiles - group : kGroup, within = block - group * across;
  const int first_row = (group + within % height) * Tile::kRows;
  const int first_output = within / height * Tile::kOutputs;

  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int warp_row = warp / 2 * kWarpRows, warp_output = warp % 2 * kWarpOutputs;
  const int steps = (depth + kDepth - 1) / kDepth;

  const Copier<T, Tile::kRows, kDepth> x_copier(x, first_row, rows, depth);
  const Copier<T, Tile::kOutputs, kDepth> w_copier(w, first_output, outputs, depth);
  const auto load = [&](int step) {
    std::uint16_t* const stage = stages + step % kStages * Tile::kStageWords;
    x_copier.copy(stage, step * kDepth);
    w_copier.copy(stage + Tile::kRows * kDepth, step * kDepth);
  };
  FragmentC sums[kDown][kAcross] = {};
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) load(step);
    commit_copies();
  }
  for (int step = 0; step < steps; ++step) {
    wait_copies<kStages - 2>();
    __syncthreads();  // this stage is there for all; all are done with the one before
    if (step + kStages - 1 < steps) load(step + kStages - 1);
    commit_copies();
    const std::uint16_t* const x_tile = stages + step % kStages * Tile::kStageWords;
    const std::uint16_t* const w_tile = x_tile + Tile::kRows * kDepth;
    EVICTBENCH_UNROLL
    for (int k = 0; k < kDepth / kVector; k += 2) {
      FragmentA a[kDown];
      EVICTBENCH_UNROLL
      for (int i = 0; i < kDown; ++i)
        load_matrices(a[i].word, x_tile + place<kDepth>(warp_row + 16 * i + lane % 16, k + lane / 16));
      EVICTBENCH_UNROLL
      for (int j = 0; j < kAcross; j += 2) {
        std::uint32_t b[4];  // of 16 outputs
        load_matrices(
            b, w_tile + place<kDepth>(warp_output + 8 * j + lane / 16 * 8 + lane % 8, k + lane / 8 % 2));
        EVICTBENCH_UNROLL
        for (int i = 0; i < kDown; ++i) {
          multiply_add<T>(sums[i][j], a[i], {{b[0], b[1]}});
          multiply_add<T>(sums[i][j + 1], a[i], {{b[2], b[3]}});
        }
      }
    }
  }
  wait_copies<0>();

  const bool even = outputs % 2 == 0;
  EVICTBENCH_UNROLL
  for (int i = 0; i < 2 * kDown; ++i) {  // eight rows
    const int row = first_row + warp_row + 8 * i + lane / 4;
    if (row >= rows) continue;
    EVICTBENCH_UNROLL
    for (int j = 0; j < kAcross; ++j) {
      const int output = first_output + warp_output + 8 * j + 2 * (lane % 4);
      const FragmentC& c = sums[i / 2][j];
      store(y + static_cast<std::ptrdiff_t>(row) * outputs + output, c.v[i % 2 * 2], c.v[i % 2 * 2 + 1],
            outputs - output, even);
    }
  }
}

template <class Tile, class T, class Out>
void multiply_in(Device& device, const T* x, const T* w, Out* y, int rows, int outputs, int depth) {
  const std::int64_t tiles = std::int64_t{ceil_div(rows, Tile::kRows)} * ceil_div(outputs, Tile::kOutputs);
  require(tiles < std::int64_t{1} << 31, "cuda: a product too large");
  launch(device, multiply_tile<Tile, T, Out>, {static_cast<unsigned>(tiles), kThreads, Tile::kSharedBytes}, x,
         w, y, rows, outputs, depth);
}

// The largest tile of which there are enough for every multiprocessor.
template <class T, class Out>
void multiply_rows(Device& device, const T* x, const T* w, Out* y, int rows, int outputs, int depth) {
  const int processors = cuda_of(device).runtime().card().processors;
  const auto fill = [&](auto tile) {
    using Tile = decltype(tile);
    return std::int64_t{ceil_div(rows, Tile::kRows)} * ceil_div(outputs, Tile::kOutputs) >= processors;
  };
  const auto multiply = [&](auto tile) {
    multiply_in<decltype(tile)>(device, x, w, y, rows, outputs, depth);
  };
  if (rows <= Narrow::kRows)
    fill(Wide{}) ? multiply(Wide{}) : multiply(Narrow{});
  else
    fill(Large{}) ? multiply(Large{}) : multiply(Square{});
}

// x [rows, depth] -> padded [rows, padded_depth], with zeros behind every row.
__global__ void pad_rows(const std::uint16_t* x, std::uint16_t* padded, std::int64_t rows, int depth,
                         int padded_depth) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= rows * padded_depth) return;
  const std::int64_t word = i % padded_depth;
  padded[i] = word < depth ? x[i / padded_depth * depth + word] : std::uint16_t{0};
}

__global__ void count_differences(const std::uint16_t* a, const std::uint16_t* b, std::int64_t words,
                                  std::int32_t* count) {
  std::int32_t mine = 0;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < words;
       i += std::int64_t{gridDim.x} * blockDim.x)
    mine += a[i] != b[i];
  if (mine) atomicAdd(count, mine);
}

}  // namespace

void multiply_own(Device& device, const ProductShape& shape, const void* x, const void* w, void* y,
                  int rows) {
  require(shape.depth % kVector == 0, "cuda: rows of a product are a multiple of 16 bytes");
  if (rows == 0 || shape.outputs == 0) return;
  const auto run = [&](auto type, auto out) {
    multiply_rows(device, static_cast<const decltype(type)*>(x), static_cast<const decltype(type)*>(w),
                  static_cast<decltype(out)*>(y), rows, shape.outputs, shape.depth);
  };
  const auto run_into = [&](auto type) { shape.out == DType::kF32 ? run(type, 0.0f) : run(type, type); };
  shape.type == DType::kBF16 ? run_into(Bf16{}) : run_into(F16{});
}

Tensor padded_rows(Device& device, const Tensor& x, int depth, int padded_depth) {
  const auto rows = static_cast<std::int64_t>(x.size()) / depth;
  Tensor padded(device, x.dtype(), {static_cast<int>(rows), padded_depth});
  constexpr int kBlock = 256;
  launch(device, pad_rows, {static_cast<unsigned>(ceil_div(rows * padded_depth, kBlock)), kBlock}, x.at(0),
         padded.at(0), rows, depth, padded_depth);
  return padded;
}

void add_differences(Device& device, const void* a, const void* b, std::size_t bytes, std::int32_t* count) {
  constexpr int kBlock = 256, kMostBlocks = 1024;
  const auto words = static_cast<std::int64_t>(bytes / 2);
  const int blocks = std::min(kMostBlocks, ceil_div(words, kBlock));
  launch(device, count_differences, {static_cast<unsigned>(blocks), kBlock}, a, b, words, count);
}

}  // namespace evictbench::cuda
