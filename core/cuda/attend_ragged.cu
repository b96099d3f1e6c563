// Attention of few rows in two bytes over lanes of any length, many lanes in one launch: every lane is split into pieces
// of as many entries each, a block takes one piece and all rows of the group, and a second launch puts the pieces of a
// row together in their order (Flash-Decoding). It is reading keys and values that takes the time: a block asks for all
// of its piece at once, and others work while it waits.
#include "core/cuda/attend_fragments.h"
#include "core/cuda/attend_half.h"
#include "core/cuda/attend_tables.h"

namespace evictbench::cuda {
namespace {

struct RaggedTask {
  HalfTask of;
  std::int32_t first_unit, units;  // its pieces
  std::int64_t partial;            // of its first piece and row; [units, rows]
};

struct Unit {
  std::int32_t task, piece;  // pieces of the base, then of the tail
};

struct Input {
  const RaggedTask* tasks;
  const Unit* units;
  const Seen* seen;
  const std::uint64_t* words;
  const void* queries;  // [N, H, dim]
  void* out;            // [N, H, dim]
  float* log_sums;      // [N, H]
  float* partials;      // [partials, dim] sums of weighed values
  float* stats;         // [partials, 2] greatest logit times log2 e, and the sum of the weights
  int H, dim, row_blocks;
  float scale;  // 1 / sqrt(dim)
};

struct alignas(8) Bytes8 {
  std::uint32_t word[2];
};
struct alignas(16) Floats4 {
  float v[4];
};

// Where a row of a task stands among [N, H].
__device__ __forceinline__ std::int64_t place(const HalfTask& task, int H, int row) {
  return static_cast<std::int64_t>(task.first_row + row / task.heads) * H + task.first_head +
         row % task.heads;
}

// D: head dim if kExact, else the most that it may be: what is missing counts as 0.
template <class T, int D, bool kExact, int kPiece>
struct Pieces {
  static constexpr int kWarps = 4, kThreads = 32 * kWarps, kRows = 16, kPitch = D + kPitchMore,
                       kChunks = D / 8;
  static constexpr int kKeys = kPiece / kWarps;  // of a warp
  static constexpr int kBytes = 2;               // of an element
  static constexpr int kKeyBytes = kBytes * kKeys * D, kValueBytes = kBytes * kKeys * kPitch,
                       kQueryBytes = kBytes * kRows * kPitch;
  static constexpr int kMergePitch = D + 8;  // floats
  static constexpr int kLaneBytes = kWarps * (kKeyBytes + kValueBytes),
                       kMergeBytes = 4 * kWarps * kRows * kMergePitch;
  // Queries, each warp's [greatest, sum] of a row; then keys and values, and in their place each warp's result.
  static constexpr int kStatBytes = 2 * 4 * kWarps * kRows;
  static constexpr std::size_t kSharedBytes =
      kQueryBytes + kStatBytes + (kLaneBytes > kMergeBytes ? kLaneBytes : kMergeBytes);

  struct Part {  // of a lane, for one warp
    const T *keys, *values;
    int first, count;  // entries, of those of the lane; at most kKeys
    std::uint64_t present;
  };

  static __device__ __forceinline__ Part part_of(const HalfTask& task, const std::uint64_t* words, int dim,
                                                 int piece, int warp) {
    const int base = task.entries[0], base_pieces = (base + kPiece - 1) / kPiece;
    const bool in_base = piece < base_pieces;
    const int entry = (in_base ? piece : piece - base_pieces) * kPiece + warp * kKeys,
              left = (in_base ? base : task.entries[1]) - entry;
    const std::int64_t offset = left > 0 ? static_cast<std::int64_t>(entry) * dim : 0;
    std::uint64_t present = ~std::uint64_t{0};
    if (in_base && task.mask >= 0 && left > 0) present = words[task.mask + entry / 64] >> entry % 64;
    return {static_cast<const T*>(in_base ? task.keys[0] : task.keys[1]) + offset,
            static_cast<const T*>(in_base ? task.values[0] : task.values[1]) + offset,
            in_base ? entry : base + entry,
            left < 0       ? 0
            : left < kKeys ? left
                           : kKeys,
            present};
  }

  // Begins to copy a warp's keys, then its values, in two groups; what the lane does not have is 0.
  static __device__ __forceinline__ void copy_part(const Part& part, int dim, int lane, SharedAddress keys,
                                                   SharedAddress values) {
    if (kExact && part.count == kKeys) {  // a piece of memory each, nothing to check
      EVICTBENCH_UNROLL
      for (int i = 0; i < kKeys * kChunks / 32; ++i)
        copy_16(keys + key_half(lane / 2, lane % 2) + i * 512, part.keys + (i * 32 + lane) * 8);
      commit_copies();
      EVICTBENCH_UNROLL
      for (int i = 0; i < kKeys * kChunks / 32; ++i) {
        const int chunk = i * 32 + lane;
        copy_16(values + kBytes * (chunk / kChunks * kPitch + chunk % kChunks * 8), part.values + chunk * 8);
      }
    } else {
      for (int i = lane; i < kKeys * kChunks; i += 32) {
        const int panel = i / (2 * D), d = i / 2 % D, half = i % 2;
        const bool valid = panel * 16 < part.count && d < dim;
        copy_16(keys + kBytes * panel * 16 * D + key_half(d, half),
                part.keys + (valid ? (panel * dim + d) * 16 + half * 8 : 0), valid ? 16 : 0);
      }
      commit_copies();
      for (int i = lane; i < kKeys * kChunks; i += 32) {
        const int entry = i / kChunks, d = i % kChunks * 8;
        const bool valid = entry < part.count && d < dim;
        copy_16(values + kBytes * (entry * kPitch + d), part.values + (valid ? entry * dim + d : 0),
                valid ? 16 : 0);
      }
    }
    commit_copies();
  }

  // Rows behind the last one are that one again; they are never stored.
  static __device__ __forceinline__ void copy_queries(const Input& in, const HalfTask& task, int first_row,
                                                      SharedAddress queries) {
    for (int i = static_cast<int>(threadIdx.x); i < kRows * kChunks; i += kThreads) {
      const int row = i / kChunks, d = i % kChunks * 8;
      const int real = first_row + row < task.rows ? first_row + row : task.rows - 1;
      const bool valid = d < in.dim;
      const T* from = static_cast<const T*>(in.queries) + place(task, in.H, real) * in.dim;
      copy_16(queries + kBytes * (row * kPitch + d), from + (valid ? d : 0), valid ? 16 : 0);
    }
    commit_copies();
  }

  static __device__ __forceinline__ void score(SharedAddress queries, SharedAddress keys, int lane,
                                               FragmentC (&logits)[1][kKeys / 8]) {
    queries += kBytes * (lane % 16 * kPitch + lane / 16 * 8);
    keys += first_key(lane);
    clear(logits);
    EVICTBENCH_UNROLL
    for (int k = 0; k < D / 16; ++k) {
      FragmentA a;
      load_matrices(a.word, queries + kBytes * 16 * k);
      EVICTBENCH_UNROLL
      for (int panel = 0; panel < kKeys / 16; ++panel) {
        FragmentB b[2];
        load_keys(keys + kBytes * panel * 16 * D, k, b);
        multiply_add<T>(logits[0][2 * panel], a, b[0]);
        multiply_add<T>(logits[0][2 * panel + 1], a, b[1]);
      }
    }
  }

  // Logits of a row become weights, powers of 2 relative to the greatest; -> that times factor, and their sum.
  static __device__ __forceinline__ void weigh(const Input& in, const HalfTask& task, const Part& part,
                                               Seen sees, int half, int lane,
                                               FragmentC (&logits)[1][kKeys / 8], float& top, float& sum) {
    const float factor = (task.softcap > 0 ? 1.0f : in.scale) * numerics::kLog2e;
    const int to = sees.to - part.first < part.count ? sees.to - part.first : part.count;
    const auto seen =
        static_cast<std::uint32_t>((part.present & bits_of(sees.from - part.first, to)) >> lane % 4 * 2);
    top = -INFINITY;
    EVICTBENCH_UNROLL
    for (int i = 0; i < kKeys / 4; ++i) {
      float& x = number(logits, half, i);
      x = seen & 1u << (i / 2 * 8 + i % 2) ? x * factor : -INFINITY;
      top = fmaxf(top, x);
    }
    top = greatest_of_row(top);
    const float off = top == -INFINITY ? 0.0f : top;  // nothing seen
    sum = 0;
    EVICTBENCH_UNROLL
    for (int i = 0; i < kKeys / 4; ++i) {
      float& x = number(logits, half, i);
      x = fast_exp2(x - off);
      sum += x;
    }
    sum = sum_of_row(sum);
  }

  static __device__ __forceinline__ void mix(const FragmentC (&weights)[1][kKeys / 8], SharedAddress values,
                                             int lane, FragmentC (&out)[1][D / 8]) {
    values += first_value(lane, kPitch);
    clear(out);
    EVICTBENCH_UNROLL
    for (int k = 0; k < kKeys / 16; ++k) {
      const FragmentA a = weights_of<T>(weights[0][2 * k], weights[0][2 * k + 1]);
      EVICTBENCH_UNROLL
      for (int n = 0; n < D / 16; ++n) {
        FragmentB b[2];
        load_values(values + kBytes * 16 * k * kPitch, n, b);
        multiply_add<T>(out[0][2 * n], a, b[0]);
        multiply_add<T>(out[0][2 * n + 1], a, b[1]);
      }
    }
  }

  // The warps' results of a row, one after the other. stats [kWarps, kRows, 2], merged [kWarps, kRows, kMergePitch]
  static __device__ __forceinline__ void merge(FragmentC (&out)[1][D / 8], const float (&top)[2],
                                               const float (&sum)[2], int rows, int dim, int warp, int lane,
                                               float* stats, float* merged, float* to, float* stats_to) {
    for (int half = 0; half < 2; ++half)
      if (lane % 4 == 0) {
        float* mine = stats + (warp * kRows + lane / 4 + 8 * half) * 2;
        mine[0] = top[half];
        mine[1] = sum[half];
      }
    __syncthreads();  // from here on nobody needs keys and values any more
    EVICTBENCH_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = lane / 4 + 8 * half;
      if (row >= rows) continue;
      float all = -INFINITY, total = 0;
      for (int w = 0; w < kWarps; ++w) {
        const float its = stats[(w * kRows + row) * 2];
        all = fmaxf(all, its);
      }
      const float off = all == -INFINITY ? 0.0f : all;
      for (int w = 0; w < kWarps; ++w)
        total = numerics::fma(stats[(w * kRows + row) * 2 + 1], fast_exp2(stats[(w * kRows + row) * 2] - off),
                              total);
      if (warp == 0 && lane % 4 == 0) {
        stats_to[2 * row] = all;
        stats_to[2 * row + 1] = total;
      }
      const float fade = fast_exp2(top[half] - off);
      float* mine = merged + (warp * kRows + row) * kMergePitch + lane % 4 * 2;
      EVICTBENCH_UNROLL
      for (int n = 0; n < D / 8; ++n) {
        mine[8 * n] = number(out, half, 2 * n) * fade;
        mine[8 * n + 1] = number(out, half, 2 * n + 1) * fade;
      }
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < rows * dim; i += kThreads) {
      const int row = i / dim, d = i % dim;
      float x = merged[row * kMergePitch + d];
      for (int w = 1; w < kWarps; ++w) x += merged[(w * kRows + row) * kMergePitch + d];
      to[i] = x;
    }
  }
};

// Of at most kRows rows of a task over one piece of its lane: rows 16 (block mod row_blocks) on.
template <class T, int D, bool kExact, int kPiece>
__global__ void __launch_bounds__(128) attend_pieces(Input in) {
  using Piece = Pieces<T, D, kExact, kPiece>;
  EVICTBENCH_DYNAMIC_SHARED(shared);
  const int unit = static_cast<int>(blockIdx.x) / in.row_blocks,
            first_row = static_cast<int>(blockIdx.x) % in.row_blocks * Piece::kRows;
  const RaggedTask task = in.tasks[in.units[unit].task];
  if (first_row >= task.of.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const auto queries = shared_address(shared),
             keys = queries + Piece::kQueryBytes + Piece::kStatBytes +
                    warp * (Piece::kKeyBytes + Piece::kValueBytes),
             values = keys + Piece::kKeyBytes;
  float *stats = reinterpret_cast<float*>(shared + Piece::kQueryBytes),
        *merged = reinterpret_cast<float*>(shared + Piece::kQueryBytes + Piece::kStatBytes);
  const auto part = Piece::part_of(task.of, in.words, in.dim, in.units[unit].piece, warp);
  Piece::copy_queries(in, task.of, first_row, queries);
  Piece::copy_part(part, in.dim, lane, keys, values);

  FragmentC logits[1][Piece::kKeys / 8], out[1][D / 8];
  float top[2], sum[2];
  wait_copies<2>();
  __syncthreads();  // the queries are there
  wait_copies<1>();
  __syncwarp();
  Piece::score(queries, keys, lane, logits);
  if (task.of.softcap > 0) cap(in.scale, task.of.softcap, logits);
  EVICTBENCH_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = first_row + lane / 4 + 8 * half, real = row < task.of.rows ? row : task.of.rows - 1;
    Piece::weigh(in, task.of, part, in.seen[task.of.seen + real / task.of.heads], half, lane, logits,
                 top[half], sum[half]);
  }
  wait_copies<0>();
  __syncwarp();
  Piece::mix(logits, values, lane, out);
  const std::int64_t partial =
      task.partial + static_cast<std::int64_t>(unit - task.first_unit) * task.of.rows + first_row;
  const int rows = task.of.rows - first_row < Piece::kRows ? task.of.rows - first_row : Piece::kRows;
  Piece::merge(out, top, sum, rows, in.dim, warp, lane, stats, merged, in.partials + partial * in.dim,
               in.stats + partial * 2);
}

// Over all threads of the block; scratch [warps]
__device__ __forceinline__ float greatest_of_block(float x, float* scratch) {
  for (int bits = 16; bits > 0; bits /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, x, bits);
    x = fmaxf(x, other);
  }
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; ++warp) x = fmaxf(x, scratch[warp]);
  return x;
}

// The pieces of one row: group i of the threads takes the i-th eighth of them, then the groups meet in their order.
constexpr int kGroups = 8;
template <class T>
__global__ void combine_pieces(Input in) {
  EVICTBENCH_DYNAMIC_SHARED(shared);
  auto* merged =
      reinterpret_cast<float*>(shared);  // [kGroups, dim + 1]: sums of weighed values, sum of weights
  const RaggedTask& task = in.tasks[blockIdx.x];
  const int row = static_cast<int>(blockIdx.y), rows = task.of.rows;
  if (row >= rows) return;
  const int lanes = in.dim / 4, group = static_cast<int>(threadIdx.x) / lanes,
            d = static_cast<int>(threadIdx.x) % lanes * 4;
  const float* stats = in.stats + (task.partial + row) * 2;
  const float* partials = in.partials + (task.partial + row) * in.dim + d;
  float top = -INFINITY;
  for (int i = static_cast<int>(threadIdx.x); i < task.units; i += static_cast<int>(blockDim.x)) {
    const float x = stats[static_cast<std::int64_t>(i) * rows * 2];
    top = fmaxf(top, x);
  }
  top = greatest_of_block(top, merged + kGroups * (in.dim + 1));
  const int each = (task.units + kGroups - 1) / kGroups,
            end = (group + 1) * each < task.units ? (group + 1) * each : task.units;
  Floats4 out{};
  float sum = 0;
  for (int i = group * each; i < end; ++i) {
    const std::int64_t at = static_cast<std::int64_t>(i) * rows;
    const float weight = fast_exp2(stats[at * 2] - top);
    const Floats4 part = load_as<Floats4>(partials + at * in.dim);
    sum = numerics::fma(stats[at * 2 + 1], weight, sum);
    for (int j = 0; j < 4; ++j) out.v[j] = numerics::fma(part.v[j], weight, out.v[j]);
  }
  float* mine = merged + group * (in.dim + 1);
  for (int j = 0; j < 4; ++j) mine[d + j] = out.v[j];
  if (d == 0) mine[in.dim] = sum;
  __syncthreads();
  if (group > 0) return;
  for (int other = 1; other < kGroups; ++other) {
    const float* its = merged + other * (in.dim + 1);
    for (int j = 0; j < 4; ++j) out.v[j] += its[d + j];
  }
  sum = merged[in.dim];
  for (int other = 1; other < kGroups; ++other) sum += merged[other * (in.dim + 1) + in.dim];
  const float inverse = 1.0f / sum;
  const std::int64_t to = place(task.of, in.H, row);
  store_as(static_cast<T*>(in.out) + to * in.dim + d,
           Bytes8{{pair<T>(out.v[0] * inverse, out.v[1] * inverse),
                   pair<T>(out.v[2] * inverse, out.v[3] * inverse)}});
  if (d == 0) in.log_sums[to] = numerics::fma(top, 1.0f / numerics::kLog2e, numerics::log(sum));
}

// Pieces of `piece` entries that some row of a task sees.
void append_units(const HalfTasks& tasks, std::size_t task, int piece, std::vector<Unit>& units) {
  const HalfTask& of = tasks.tasks[task];
  const Seen all = tasks.all_of(task);
  const int base = of.entries[0], base_pieces = ceil_div(base, piece);
  const auto any_present = [&](int first, int last) {  // whole words, or the lane's last ones
    for (int word = first / 64; word < ceil_div(last, 64); ++word)
      if (tasks.words[static_cast<std::size_t>(of.mask + word)] != 0) return true;
    return false;
  };
  for (int first = all.from / piece * piece; first < std::min(all.to, base); first += piece)
    if (of.mask < 0 || any_present(first, std::min(first + piece, base)))
      units.push_back({static_cast<std::int32_t>(task), first / piece});
  for (int first = std::max(0, all.from - base) / piece * piece; first < all.to - base; first += piece)
    units.push_back({static_cast<std::int32_t>(task), base_pieces + first / piece});
}

template <class T, int D, bool kExact, int kPiece>
void attend_dim(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                Tensor& log_sums) {
  using Piece = Pieces<T, D, kExact, kPiece>;
  static_assert(kPiece % 64 == 0 && Piece::kKeys <= 32, "masks are read in words");
  const int H = queries.dim(1), dim = queries.dim(2);
  const HalfTasks all(tasks, queries);
  std::vector<RaggedTask> ragged;
  std::vector<Unit> units;
  std::int64_t partials = 0;
  int most_rows = 0;
  for (std::size_t i = 0; i < all.tasks.size(); ++i) {
    const auto first = static_cast<std::int32_t>(units.size());
    append_units(all, i, kPiece, units);
    const HalfTask& of = all.tasks[i];
    ragged.push_back({of, first, static_cast<std::int32_t>(units.size()) - first, partials});
    partials += std::int64_t{ragged.back().units} * of.rows;
    most_rows = std::max(most_rows, of.rows);
  }
  Tables tables;
  const std::size_t task_at = tables.add(std::span<const RaggedTask>(ragged)),
                    unit_at = tables.add(std::span<const Unit>(units)),
                    seen_at = tables.add(std::span(all.seen)), words_at = tables.add(std::span(all.words));
  const Table<std::byte> table(device, tables.bytes());
  const auto at = [&]<class Item>(std::size_t offset, const Item*) {
    return reinterpret_cast<const Item*>(table.data() + offset);
  };
  Tensor partial(device, DType::kF32, {static_cast<int>(partials), dim}),
      stats(device, DType::kF32, {static_cast<int>(partials), 2});
  const int row_blocks = ceil_div(most_rows, Piece::kRows);
  const Input input{at(task_at, ragged.data()),
                    at(unit_at, units.data()),
                    at(seen_at, all.seen.data()),
                    at(words_at, all.words.data()),
                    queries.at(0),
                    out.at(0),
                    log_sums.data<float>(),
                    partial.data<float>(),
                    stats.data<float>(),
                    H,
                    dim,
                    row_blocks,
                    1.0f / std::sqrt(static_cast<float>(dim))};
  launch(device, attend_pieces<T, D, kExact, kPiece>,
         {static_cast<unsigned>(units.size()) * static_cast<unsigned>(row_blocks), Piece::kThreads,
          Piece::kSharedBytes},
         input);
  launch(device, combine_pieces<T>,
         {{static_cast<unsigned>(ragged.size()), static_cast<unsigned>(most_rows)},
          static_cast<unsigned>(dim / 4 * kGroups),
          sizeof(float) * (kGroups * (static_cast<std::size_t>(dim) + 1) + 32)},
         input);
}

template <class T>
void attend_type(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                 Tensor& log_sums) {
  const int dim = queries.dim(2);
  if (dim == 64)
    attend_dim<T, 64, true, 128>(device, tasks, queries, out, log_sums);
  else if (dim == 128)
    attend_dim<T, 128, true, 128>(device, tasks, queries, out, log_sums);
  else if (dim < 128)
    attend_dim<T, 128, false, 128>(device, tasks, queries, out, log_sums);
  else if (dim == 256)
    attend_dim<T, 256, true, 64>(device, tasks, queries, out, log_sums);
  else
    attend_dim<T, 256, false, 64>(device, tasks, queries, out, log_sums);
}

}  // namespace

void attend_ragged(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                   Tensor& log_sums) {
  std::vector<AttendTask> some;
  for (const AttendTask& task : tasks)
    if (task.rows * task.heads > 0) some.push_back(task);
  if (some.empty()) return;
  if (queries.dtype() == DType::kBF16)
    attend_type<Bf16>(device, some, queries, out, log_sums);
  else
    attend_type<F16>(device, some, queries, out, log_sums);
}

}  // namespace evictbench::cuda
