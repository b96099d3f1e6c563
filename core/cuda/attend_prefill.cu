// Attention of many rows in two bytes: FlashAttention-2 (Dao, 2023, arXiv:2307.08691) on tensor cores. A block takes a
// tile of query rows, all heads of a group together, and walks over the lane in tiles of keys; while it works on one,
// the next one is copied into shared memory.
#include "core/cuda/attend_fragments.h"
#include "core/cuda/attend_half.h"
#include "core/cuda/attend_tables.h"

namespace evictbench::cuda {
namespace {

struct Unit {
  std::int32_t task, tile;  // of rows
};

struct Input {
  const HalfTask* tasks;
  const Unit* units;
  const Seen* seen;
  const std::uint64_t* words;
  const void* queries;  // [N, H, dim]
  void* out;            // [N, H, dim]
  float* log_sums;      // [N, H]
  int H, dim;
  float scale;  // 1 / sqrt(dim)
};

// D: head dim if kExact, else the most that it may be: what is missing counts as 0. M: m16 tiles of a warp.
template <class T, int D, bool kExact, int kKeys, int M, int kWarps>
struct Tiles {
  static constexpr int kThreads = 32 * kWarps, kRows = 16 * M * kWarps, kPitch = D + kPitchMore,
                       kChunks = D / 8;
  static constexpr int kBytes = 2;  // of an element
  static constexpr int kKeyBytes = kBytes * kKeys * D, kStageBytes = kKeyBytes + kBytes * kKeys * kPitch;
  static constexpr std::size_t kSharedBytes =
      sizeof(Seen) * kRows + kBytes * kRows * kPitch + 2 * kStageBytes;
  static constexpr float kSlack = 8;  // a maximum is kept until it is surpassed by more, in powers of 2

  // What a thread holds of its rows: g and g + 8 of each m16 tile of its warp.
  struct Rows {
    FragmentC out[M][D / 8];
    float reference[2 * M];  // what is taken off the logits: their maximum or a little less
    float sum[2 * M];        // of the weights of its own columns
  };
  static __device__ __forceinline__ int row_of(int r, int lane) { return 8 * r + lane / 4; }
  using Logits = FragmentC[M][kKeys / 8];

  // Keys [first, first + count) of the lane, of one run.
  struct KeyTile {
    const T *keys, *values;
    int first, count;
    std::uint64_t present;
  };

  static __device__ __forceinline__ int tile_of(const HalfTask& task, int entry) {
    const int base = task.entries[0];
    return entry < base ? entry / kKeys : (base + kKeys - 1) / kKeys + (entry - base) / kKeys;
  }

  static __device__ __forceinline__ KeyTile tile_at(const HalfTask& task, const std::uint64_t* words, int dim,
                                                    int tile) {
    const int base = task.entries[0], base_tiles = (base + kKeys - 1) / kKeys;
    const bool in_base = tile < base_tiles;
    const int entry = (in_base ? tile : tile - base_tiles) * kKeys,
              left = (in_base ? base : task.entries[1]) - entry;
    const std::int64_t offset = static_cast<std::int64_t>(entry) * dim;
    std::uint64_t present = ~std::uint64_t{0};
    if (in_base && task.mask >= 0) present = words[task.mask + entry / 64] >> entry % 64;
    return {static_cast<const T*>(in_base ? task.keys[0] : task.keys[1]) + offset,
            static_cast<const T*>(in_base ? task.values[0] : task.values[1]) + offset,
            in_base ? entry : base + entry, left < kKeys ? left : kKeys, present};
  }

  // Where a chunk of 8 elements of the values lies, in bytes.
  static __device__ __forceinline__ int value_at(int chunk) {
    return kBytes * (chunk / kChunks * kPitch + chunk % kChunks * 8);
  }

  // Begins to copy a tile of keys and values; what the lane does not have is 0.
  static __device__ __forceinline__ void copy_tile(const KeyTile& tile, int dim, SharedAddress stage) {
    const int thread = thread_anew();
    const SharedAddress values = stage + kKeyBytes;
    if (kExact && tile.count == kKeys) {  // a piece of memory each, nothing to check
      const T *keys_here = tile.keys + thread * 8, *values_here = tile.values + thread * 8;
      const SharedAddress to =
          stage + key_half(thread / 2, thread % 2);  // through all panels: D / 8 is whole
      EVICTBENCH_UNROLL
      for (int i = 0; i < kKeys * kChunks / kThreads; ++i)
        copy_16(to + i * kThreads * 16, keys_here + i * kThreads * 8);
      constexpr bool kSteady = kThreads % kChunks == 0;  // every copy of a thread to the same dims
      const SharedAddress to_value = values + value_at(thread);
      EVICTBENCH_UNROLL
      for (int i = 0; i < kKeys * kChunks / kThreads; ++i)
        copy_16(kSteady ? to_value + i * value_at(kThreads) : values + value_at(thread + i * kThreads),
                values_here + i * kThreads * 8);
    } else {
      EVICTBENCH_NO_UNROLL
      for (int i = thread; i < kKeys * kChunks; i += kThreads) {
        const int panel = i / (2 * D), d = i / 2 % D, half = i % 2;
        const bool valid = panel * 16 < tile.count && d < dim;
        copy_16(stage + kBytes * panel * 16 * D + key_half(d, half),
                tile.keys + (valid ? (panel * dim + d) * 16 + half * 8 : 0), valid ? 16 : 0);
      }
      EVICTBENCH_NO_UNROLL
      for (int i = thread; i < kKeys * kChunks; i += kThreads) {
        const int entry = i / kChunks, d = i % kChunks * 8;
        const bool valid = entry < tile.count && d < dim;
        copy_16(values + kBytes * (entry * kPitch + d), tile.values + (valid ? entry * dim + d : 0),
                valid ? 16 : 0);
      }
    }
    commit_copies();
  }

  // Where a row of the task stands among [N, H].
  static __device__ __forceinline__ std::int64_t place(const HalfTask& task, int H, int row) {
    return static_cast<std::int64_t>(task.first_row + row / task.heads) * H + task.first_head +
           row % task.heads;
  }

  // Rows behind the last one are that one again; they are never stored.
  static __device__ __forceinline__ void copy_queries(const Input& in, const HalfTask& task, int first_row,
                                                      Seen* seen, T* queries) {
    const int thread = static_cast<int>(threadIdx.x);
    for (int row = thread; row < kRows; row += kThreads) {
      const int real = first_row + row < task.rows ? first_row + row : task.rows - 1;
      seen[row] = in.seen[task.seen + real / task.heads];
    }
    for (int i = thread; i < kRows * kChunks; i += kThreads) {
      const int row = i / kChunks, d = i % kChunks * 8;
      const int real = first_row + row < task.rows ? first_row + row : task.rows - 1;
      const bool valid = d < in.dim;
      const T* from = static_cast<const T*>(in.queries) + place(task, in.H, real) * in.dim;
      copy_16(queries + row * kPitch + d, from + (valid ? d : 0), valid ? 16 : 0);
    }
  }

  static __device__ __forceinline__ void score(SharedAddress queries, SharedAddress keys, int lane,
                                               Logits& logits) {
    queries += kBytes * (lane % 16 * kPitch + lane / 16 * 8);
    keys += first_key(lane);
    clear(logits);
    EVICTBENCH_UNROLL
    for (int k = 0; k < D / 16; ++k) {
      FragmentA a[M];
      EVICTBENCH_UNROLL
      for (int m = 0; m < M; ++m) load_matrices(a[m].word, queries + kBytes * (16 * m * kPitch + 16 * k));
      EVICTBENCH_UNROLL
      for (int panel = 0; panel < kKeys / 16; ++panel) {
        FragmentB b[2];
        load_keys(keys + kBytes * panel * 16 * D, k, b);
        EVICTBENCH_UNROLL
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(logits[m][2 * panel], a[m], b[0]);
          multiply_add<T>(logits[m][2 * panel + 1], a[m], b[1]);
        }
      }
    }
  }

  // What a row does not see gets the logit -inf. seen: of the warp's rows
  static __device__ __forceinline__ void mask(const Seen* seen, const KeyTile& tile, Logits& logits) {
    const int lane = thread_anew() % 32;
    EVICTBENCH_UNROLL
    for (int r = 0; r < 2 * M; ++r) {
      const Seen sees = seen[row_of(r, lane)];
      const int to = sees.to - tile.first < tile.count ? sees.to - tile.first : tile.count;
      const std::uint64_t bits = (tile.present & bits_of(sees.from - tile.first, to)) >> lane % 4 * 2;
      const std::uint32_t words[] = {static_cast<std::uint32_t>(bits),
                                     static_cast<std::uint32_t>(bits >> 32)};
      EVICTBENCH_UNROLL
      for (int i = 0; i < kKeys / 4; ++i)
        if (!(words[i / 8] & 1u << (i % 8 / 2 * 8 + i % 2))) number(logits, r, i) = -INFINITY;
    }
  }

  // Brings each row's reference up to date with new logits, and what is there already with it. `factor` makes of a logit
  // an exponent of 2.
  static __device__ __forceinline__ void follow(float factor, Logits& logits, Rows& rows) {
    const float slack = fast_divide(kSlack, factor);
    float fade[2 * M];
    bool moved = false;
    EVICTBENCH_UNROLL
    for (int r = 0; r < 2 * M; ++r) {
      float top = -INFINITY;
      EVICTBENCH_UNROLL
      for (int i = 0; i < kKeys / 4; ++i) top = fmaxf(top, number(logits, r, i));
      top = greatest_of_row(top);
      const bool moves = top > rows.reference[r] + slack;
      fade[r] = moves ? fast_exp2((rows.reference[r] - top) * factor) : 1.0f;
      rows.reference[r] = moves ? top : rows.reference[r];
      moved = moved || moves;
    }
    if (!__any_sync(0xffffffffu, moved)) return;  // times 1 changes nothing: other rows do not matter
    EVICTBENCH_UNROLL
    for (int r = 0; r < 2 * M; ++r) {
      rows.sum[r] *= fade[r];
      EVICTBENCH_UNROLL
      for (int i = 0; i < D / 4; ++i) number(rows.out, r, i) *= fade[r];
    }
  }

  static __device__ __forceinline__ void weigh(float factor, Logits& logits, Rows& rows) {
    EVICTBENCH_UNROLL
    for (int r = 0; r < 2 * M; ++r) {
      const float reference = rows.reference[r];
      const float off = reference == -INFINITY ? 0.0f : -reference * factor;  // nothing seen yet
      EVICTBENCH_UNROLL
      for (int i = 0; i < kKeys / 4; ++i) {
        float& x = number(logits, r, i);
        x = fast_exp2(numerics::fma(x, factor, off));
        rows.sum[r] += x;
      }
    }
  }

  static __device__ __forceinline__ void mix(const Logits& weights, SharedAddress values, int lane,
                                             Rows& rows) {
    values += first_value(lane, kPitch);
    EVICTBENCH_UNROLL
    for (int k = 0; k < kKeys / 16; ++k) {
      FragmentA a[M];
      EVICTBENCH_UNROLL
      for (int m = 0; m < M; ++m) a[m] = weights_of<T>(weights[m][2 * k], weights[m][2 * k + 1]);
      EVICTBENCH_UNROLL
      for (int n = 0; n < D / 16; ++n) {
        FragmentB b[2];
        load_values(values + kBytes * 16 * k * kPitch, n, b);
        EVICTBENCH_UNROLL
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(rows.out[m][2 * n], a[m], b[0]);
          multiply_add<T>(rows.out[m][2 * n + 1], a[m], b[1]);
        }
      }
    }
  }

  // staged: where the warp's queries were, [16 M, kPitch]; first_row: the warp's
  static __device__ __forceinline__ void store(const Input& in, const HalfTask& task, int first_row, int lane,
                                               float natural, Rows& rows, T* staged) {
    __syncwarp();  // the last queries are read
    EVICTBENCH_UNROLL
    for (int r = 0; r < 2 * M; ++r) {
      const float sum = sum_of_row(rows.sum[r]), inverse = 1.0f / sum;
      const int row = row_of(r, lane);
      if (lane % 4 == 0 && first_row + row < task.rows)
        in.log_sums[place(task, in.H, first_row + row)] =
            numerics::fma(rows.reference[r], natural, numerics::log(sum));
      EVICTBENCH_UNROLL
      for (int n = 0; n < D / 8; ++n)
        store_as(staged + row * kPitch + 8 * n + lane % 4 * 2,
                 pair<T>(number(rows.out, r, 2 * n) * inverse, number(rows.out, r, 2 * n + 1) * inverse));
    }
    __syncwarp();
    for (int i = lane; i < 16 * M * kChunks; i += 32) {
      const int row = i / kChunks, d = i % kChunks * 8;
      if (first_row + row < task.rows && d < in.dim)
        store_as(static_cast<T*>(in.out) + place(task, in.H, first_row + row) * in.dim + d,
                 load_as<Bytes16>(staged + row * kPitch + d));
    }
  }
};

template <class T, int D, bool kExact, int kKeys, int M, int kWarps>
__global__ void __launch_bounds__(32 * kWarps, M == 2 ? 2 : 1) attend_tiles(Input in) {
  using Tile = Tiles<T, D, kExact, kKeys, M, kWarps>;
  EVICTBENCH_DYNAMIC_SHARED(shared);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp_row = static_cast<int>(threadIdx.x) / 32 * 16 * M;
  auto* seen = reinterpret_cast<Seen*>(shared);  // [kRows]
  T* queries = reinterpret_cast<T*>(seen + Tile::kRows);
  const SharedAddress warp_queries = shared_address(queries + warp_row * Tile::kPitch),
                      stages = shared_address(queries + Tile::kRows * Tile::kPitch);
  const Unit unit = in.units[blockIdx.x];
  const HalfTask& task = in.tasks[unit.task];  // stays in memory: registers are scarce
  const int first_row = unit.tile * Tile::kRows;
  const bool works = first_row + warp_row < task.rows;
  const float factor = (task.softcap > 0 ? 1.0f : in.scale) * numerics::kLog2e;

  typename Tile::Rows rows;
  clear(rows.out);
  EVICTBENCH_UNROLL
  for (int r = 0; r < 2 * M; ++r) {
    rows.reference[r] = -INFINITY;
    rows.sum[r] = 0;
  }
  Tile::copy_queries(in, task, first_row, seen, queries);
  __syncthreads();
  const int begin = Tile::tile_of(task, seen[0].from),
            end = Tile::tile_of(task, seen[Tile::kRows - 1].to - 1) + 1;
  Tile::copy_tile(Tile::tile_at(task, in.words, in.dim, begin), in.dim, stages);
  const int all_from = seen[Tile::kRows - 1].from, all_to = seen[0].to;  // what every row sees
  for (int t = begin; t < end; ++t) {
    wait_copies<0>();
    __syncthreads();  // this tile is there, and nobody reads the one before any more
    const SharedAddress stage = stages + ((t - begin) & 1) * Tile::kStageBytes;
    if (t + 1 < end)
      Tile::copy_tile(Tile::tile_at(task, in.words, in.dim, t + 1), in.dim,
                      stages + ((t + 1 - begin) & 1) * Tile::kStageBytes);
    if (!works) continue;
    typename Tile::Logits logits;
    Tile::score(warp_queries, stage, lane, logits);
    if constexpr (M == 1)
      if (task.softcap > 0) cap(in.scale, task.softcap, logits);
    const auto tile = Tile::tile_at(task, in.words, in.dim, t);
    if (tile.count < kKeys || tile.first < all_from || tile.first + kKeys > all_to || task.mask >= 0)
      Tile::mask(seen + warp_row, tile, logits);
    Tile::follow(factor, logits, rows);
    Tile::weigh(factor, logits, rows);
    Tile::mix(logits, stage + Tile::kKeyBytes, lane, rows);
  }
  if (works)
    Tile::store(in, task, first_row + warp_row, lane, task.softcap > 0 ? 1.0f : in.scale, rows,
                queries + warp_row * Tile::kPitch);
}

// Heaviest tiles first; lanes side by side as far as the cache of the card holds their keys and values.
std::vector<Unit> units_of(const HalfTasks& tasks, int tile_rows, std::int64_t entry_bytes) {
  constexpr std::int64_t kCached = std::int64_t{32} << 20;
  std::vector<Unit> units;
  for (std::size_t first = 0, last; first < tasks.tasks.size(); first = last) {
    std::int64_t bytes = 0;
    int tiles = 0;
    for (last = first; last < tasks.tasks.size() && (last == first || bytes < kCached); ++last) {
      const HalfTask& task = tasks.tasks[last];
      bytes += (task.entries[0] + std::int64_t{task.entries[1]}) * entry_bytes;
      tiles = std::max(tiles, ceil_div(task.rows, tile_rows));
    }
    for (int tile = tiles - 1; tile >= 0; --tile)
      for (std::size_t task = first; task < last; ++task)
        if (tile * tile_rows < tasks.tasks[task].rows)
          units.push_back({static_cast<std::int32_t>(task), tile});
  }
  return units;
}

template <class T, int D, bool kExact, int kKeys, int M, int kWarps>
void attend_dim(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                Tensor& log_sums) {
  using Tile = Tiles<T, D, kExact, kKeys, M, kWarps>;
  const int H = queries.dim(1), dim = queries.dim(2);
  const HalfTasks all(tasks, queries);
  const std::vector<Unit> units =
      units_of(all, Tile::kRows, std::int64_t{2} * dim * static_cast<std::int64_t>(sizeof(T)));
  Tables tables;
  const std::size_t task_at = tables.add(std::span(all.tasks)), unit_at = tables.add(std::span(units)),
                    seen_at = tables.add(std::span(all.seen)), words_at = tables.add(std::span(all.words));
  const Table<std::byte> table(device, tables.bytes());
  const auto at = [&]<class Item>(std::size_t offset, const Item*) {
    return reinterpret_cast<const Item*>(table.data() + offset);
  };
  const Input input{at(task_at, all.tasks.data()),
                    at(unit_at, units.data()),
                    at(seen_at, all.seen.data()),
                    at(words_at, all.words.data()),
                    queries.at(0),
                    out.at(0),
                    log_sums.data<float>(),
                    H,
                    dim,
                    1.0f / std::sqrt(static_cast<float>(dim))};
  launch(device, attend_tiles<T, D, kExact, kKeys, M, kWarps>,
         {static_cast<unsigned>(units.size()), Tile::kThreads, Tile::kSharedBytes}, input);
}

template <class T>
void attend_type(Device& device, bool capped, std::span<const AttendTask> tasks, const Tensor& queries,
                 Tensor& out, Tensor& log_sums) {
  const int dim = queries.dim(2);
  if (capped && dim <= 128)  // needs registers for itself
    attend_dim<T, 128, false, 32, 1, 8>(device, tasks, queries, out, log_sums);
  else if (dim == 64)
    attend_dim<T, 64, true, 64, 2, 4>(device, tasks, queries, out, log_sums);
  else if (dim == 96)
    attend_dim<T, 96, true, 64, 2, 4>(device, tasks, queries, out, log_sums);
  else if (dim == 128 && cuda_of(device).runtime().card().major < 9)  // two blocks in less shared memory
    attend_dim<T, 128, true, 32, 2, 4>(device, tasks, queries, out, log_sums);
  else if (dim == 128)
    attend_dim<T, 128, true, 64, 2, 4>(device, tasks, queries, out, log_sums);
  else if (dim < 128)
    attend_dim<T, 128, false, 32, 1, 8>(device, tasks, queries, out, log_sums);
  else if (dim == 256)
    attend_dim<T, 256, true, 32, 1, 8>(device, tasks, queries, out, log_sums);
  else
    attend_dim<T, 256, false, 32, 1, 8>(device, tasks, queries, out, log_sums);
}

}  // namespace

void attend_prefill(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
                    Tensor& log_sums) {
  for (const bool capped : {false, true}) {
    std::vector<AttendTask> alike;
    for (const AttendTask& task : tasks)
      if (task.rows * task.heads > 0 && (task.form.softcap > 0) == capped) alike.push_back(task);
    if (alike.empty()) continue;
    if (queries.dtype() == DType::kBF16)
      attend_type<Bf16>(device, capped, alike, queries, out, log_sums);
    else
      attend_type<F16>(device, capped, alike, queries, out, log_sums);
  }
}

}  // namespace evictbench::cuda
