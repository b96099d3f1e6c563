// What moves keys and values: panels of 16 entries, dimension by dimension, and plain rows (core/lane.h).
#include <algorithm>
#include <vector>

#include "core/cuda/launch.h"
#include "core/cuda/ops.h"

namespace evictbench::cuda {
namespace {

constexpr int kThreads = 128;

// Writes entries [first, last) of a panel of keys [D, 16] from what `of(entry, d)` gives, 16 bytes at a time where
// they are all written. By all threads of a block.
template <class T, class Of>
__device__ void put_keys(T* panel, int dim, int first, int last, const Of& of) {
  constexpr int kWide = 16 / sizeof(T), kParts = kPanel / kWide;
  for (int i = static_cast<int>(threadIdx.x); i < dim * kParts; i += kThreads) {
    const int d = i / kParts, begin = i % kParts * kWide;
    T* to = panel + d * kPanel + begin;
    if (first <= begin && begin + kWide <= last) {
      alignas(16) T wide[kWide];
      for (int e = 0; e < kWide; ++e) wide[e] = of(begin + e, d);
      store_as(to, load_as<Bytes16>(wide));
    } else {
      for (int e = 0; e < kWide; ++e)
        if (first <= begin + e && begin + e < last) to[e] = of(begin + e, d);
    }
  }
}

// Copies rows [first, last) of values [.., D] from where `of(row)` says. By all threads of a block.
template <class T, class Of>
__device__ void copy_values(T* to, int dim, int first, int last, const Of& of) {
  const int bytes = dim * static_cast<int>(sizeof(T)), rows = last - first;
  if (bytes % 16 == 0) {
    const int wide = bytes / 16;
    for (int i = static_cast<int>(threadIdx.x); i < rows * wide; i += kThreads) {
      const int row = first + i / wide, at = i % wide * 16 / static_cast<int>(sizeof(T));
      store_as(to + std::ptrdiff_t{row} * dim + at, load_as<Bytes16>(of(row) + at));
    }
  } else {
    for (int i = static_cast<int>(threadIdx.x); i < rows * dim; i += kThreads) {
      const int row = first + i / dim;
      to[std::ptrdiff_t{row} * dim + i % dim] = of(row)[i % dim];
    }
  }
}

// --- store ----------------------------------------------------------------------------------------------------------

struct StoreTo {
  void *keys, *values;  // of the layer's first lane
  std::ptrdiff_t lane;  // elements of a lane
  int heads, first_row, rows, first_entry;
};
struct Piece {
  int task, part;  // the part is a panel, or several
};

// Block (piece, head) writes what a task has of one panel of one lane. k, v [N, G, D]
template <class T>
__global__ void store_panels(const T* k, const T* v, int kv_heads, int dim, const StoreTo* tasks,
                             const Piece* pieces) {
  const Piece piece = pieces[blockIdx.x];
  const StoreTo to = tasks[piece.task];
  const int head = static_cast<int>(blockIdx.y);
  if (head >= to.heads) return;
  const int entry = piece.part * kPanel;
  const int first = to.first_entry > entry ? to.first_entry - entry : 0,
            end = to.first_entry + to.rows - entry, last = end < kPanel ? end : kPanel;
  const auto row = [&](const T* from, int e) {
    const std::ptrdiff_t n = to.first_row + entry + e - to.first_entry;
    return from + (n * kv_heads + head * kv_heads / to.heads) * dim;
  };
  const std::ptrdiff_t at = head * to.lane + std::ptrdiff_t{entry} * dim;
  put_keys(static_cast<T*>(to.keys) + at, dim, first, last, [&](int e, int d) { return row(k, e)[d]; });
  copy_values(static_cast<T*>(to.values) + at, dim, first, last, [&](int e) { return row(v, e); });
}

// --- gather ---------------------------------------------------------------------------------------------------------

struct GatherFrom {
  const void *keys, *values, *tail_keys, *tail_values;
  void *to_keys, *to_values;
  std::ptrdiff_t first_slot;  // in the table of all slots; those of the base, then those of the tail
  int of_base, entries;
};

constexpr int kGatherPanels = 4;  // of one block

// Writes are whole; what is read of a source panel is read by at most two neighbouring blocks.
template <class T>
__global__ void gather_panels(int dim, const GatherFrom* tasks, const std::int32_t* slots,
                              const Piece* pieces) {
  constexpr int kEntries = kGatherPanels * kPanel;
  __shared__ const T* keys[kEntries];
  __shared__ const T* values[kEntries];
  const Piece piece = pieces[blockIdx.x];
  const GatherFrom from = tasks[piece.task];
  const int begin = piece.part * kEntries,
            count = from.entries - begin < kEntries ? from.entries - begin : kEntries;
  if (const int i = static_cast<int>(threadIdx.x); i < count) {
    const int e = begin + i, slot = slots[from.first_slot + e];
    const bool tail = e >= from.of_base;
    keys[i] = static_cast<const T*>(tail ? from.tail_keys : from.keys) + key_index(slot, dim, 0);
    values[i] = static_cast<const T*>(tail ? from.tail_values : from.values) + std::ptrdiff_t{slot} * dim;
  }
  __syncthreads();
  for (int first = 0; first < count; first += kPanel)
    put_keys(
        static_cast<T*>(from.to_keys) + std::ptrdiff_t{begin + first} * dim, dim, 0, kPanel,
        [&](int e, int d) { return first + e < count ? keys[first + e][std::ptrdiff_t{d} * kPanel] : T{}; });
  copy_values(static_cast<T*>(from.to_values) + std::ptrdiff_t{begin} * dim, dim, 0, count,
              [&](int row) { return values[row]; });
}

// --- rows that are built one by one -----------------------------------------------------------------------------------

// Block row: the weighted sum of rows of a lane -> f32 [rows, D]
template <class T>
__global__ void combine_rows(const T* keys, const T* values, int dim, const std::int64_t* offsets,
                             const std::int32_t* slots, const float* weights, float* key_rows,
                             float* value_rows) {
  const std::int64_t first = offsets[blockIdx.x], last = offsets[blockIdx.x + 1];
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kThreads) {
    float key = 0, value = 0;
    for (std::int64_t i = first; i < last; ++i) {
      const float weight = weights[i], k = widen(keys[key_index(slots[i], dim, d)]),
                  v = widen(values[std::ptrdiff_t{slots[i]} * dim + d]);
      key = i == first ? weight * k : numerics::fma(weight, k, key);
      value = i == first ? weight * v : numerics::fma(weight, v, value);
    }
    const std::ptrdiff_t at = std::ptrdiff_t{blockIdx.x} * dim + d;
    key_rows[at] = key;
    value_rows[at] = value;
  }
}

// Block panel: rows f32 [n, D] -> a lane
template <class T>
__global__ void put_panels(const float* key_rows, const float* value_rows, int rows, int dim, T* keys,
                           T* values) {
  const int entry = static_cast<int>(blockIdx.x) * kPanel,
            count = rows - entry < kPanel ? rows - entry : kPanel;
  const std::ptrdiff_t at = std::ptrdiff_t{entry} * dim;
  put_keys(keys + at, dim, 0, count,
           [&](int e, int d) { return narrow<T>(key_rows[at + std::ptrdiff_t{e} * dim + d]); });
  for (int i = static_cast<int>(threadIdx.x); i < count * dim; i += kThreads)
    values[at + i] = narrow<T>(value_rows[at + i]);
}

// --- what a prefill keeps, and norms ----------------------------------------------------------------------------------

// Block (row, head): queries [N, H, D] -> window_queries [L, H, W, D], log_sums [N, H] -> window_log_sums [L, H, W]
template <class T>
__global__ void keep_rows(const T* queries, const float* log_sums, int heads, int dim, int window,
                          std::ptrdiff_t layer, int first_row, int newest, T* window_queries,
                          float* window_log_sums) {
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const std::ptrdiff_t from = std::ptrdiff_t{first_row + row} * heads + head,
                       to = (layer * heads + head) * window + newest - row;
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kThreads)
    window_queries[to * dim + d] = queries[from * dim + d];
  if (threadIdx.x == 0) window_log_sums[to] = log_sums[from];
}

// Thread entry: 16 accumulators by d mod 16. Lanes [D, 16] panels -> norms [lanes, T]
template <class T>
__global__ void norms_of_keys(const T* keys, std::ptrdiff_t lane, int dim, int tokens, float* norms) {
  const int entry = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (entry >= tokens) return;
  const T* key = keys + blockIdx.y * lane + key_index(entry, dim, 0);
  float squares[numerics::kLanes] = {};
  for (int d = 0; d < dim; d += numerics::kLanes) {
    EVICTBENCH_UNROLL
    for (int i = 0; i < numerics::kLanes; ++i) {
      if (d + i >= dim) continue;
      const float x = widen(key[std::ptrdiff_t{d + i} * kPanel]);
      squares[i] = numerics::fma(x, x, squares[i]);
    }
  }
  norms[std::ptrdiff_t{blockIdx.y} * tokens + entry] = numerics::sqrt(numerics::fold(squares));
}

// 16 threads of a warp an entry, each with one accumulator. Lanes [capacity, D] -> norms [lanes, T]
template <class T>
__global__ void norms_of_values(const T* values, std::ptrdiff_t lane, int dim, int tokens, float* norms) {
  const int entry = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) / numerics::kLanes,
            first = static_cast<int>(threadIdx.x) % numerics::kLanes;
  float square = 0;
  if (entry < tokens) {
    const T* value = values + blockIdx.y * lane + std::ptrdiff_t{entry} * dim;
    for (int d = first; d < dim; d += numerics::kLanes)
      square = numerics::fma(widen(value[d]), widen(value[d]), square);
  }
  for (unsigned half = numerics::kLanes / 2; half > 0; half /= 2)
    square += __shfl_down_sync(0xffffffffu, square, half);
  if (first == 0 && entry < tokens)
    norms[std::ptrdiff_t{blockIdx.y} * tokens + entry] = numerics::sqrt(square);
}

std::ptrdiff_t lane_elements(const DenseKv& cache) { return std::ptrdiff_t{cache.capacity()} * cache.dim(); }

}  // namespace

void store(Device& device, const Tensor& k, const Tensor& v, int layer, std::span<const StoreTask> tasks) {
  std::vector<StoreTo> to;
  std::vector<Piece> pieces;
  int most_heads = 0;
  for (const StoreTask& task : tasks) {
    if (task.rows == 0) continue;
    require(task.to->dtype() == k.dtype(), "store: a cache of another type");
    const int heads = task.to->heads();  // G, or H where every query head has a lane of its own
    most_heads = std::max(most_heads, heads);
    for (int panel = task.first_entry / kPanel; panel * kPanel < task.first_entry + task.rows; ++panel)
      pieces.push_back({static_cast<int>(to.size()), panel});
    to.push_back({task.to->lane_keys(layer * heads), task.to->lane_values(layer * heads),
                  lane_elements(*task.to), heads, task.first_row, task.rows, task.first_entry});
  }
  if (pieces.empty()) return;
  const Table<StoreTo> to_table(device, to);
  const Table<Piece> piece_table(device, pieces);
  with_type(k.dtype(), [&]<class T>(T) {
    launch(device, store_panels<T>,
           {{static_cast<unsigned>(pieces.size()), static_cast<unsigned>(most_heads)}, kThreads},
           static_cast<const T*>(k.at(0)), static_cast<const T*>(v.at(0)), k.dim(1), k.dim(2),
           to_table.data(), piece_table.data());
  });
}

void gather(Device& device, DType dtype, int dim, std::span<const GatherTask> tasks) {
  std::vector<GatherFrom> from;
  std::vector<Piece> pieces;
  std::vector<std::int32_t> slots;
  std::size_t all = 0;
  for (const GatherTask& task : tasks) all += static_cast<std::size_t>(task.entries());
  slots.reserve(all);
  for (const GatherTask& task : tasks) {
    for (int part = 0; part * kGatherPanels * kPanel < task.entries(); ++part)
      pieces.push_back({static_cast<int>(from.size()), part});
    from.push_back({task.base.keys, task.base.values, task.tail.keys, task.tail.values, task.to_keys,
                    task.to_values, std::ssize(slots), static_cast<int>(task.base.slots.size()),
                    task.entries()});
    for (const GatherTask::Source* source : {&task.base, &task.tail})
      slots.insert(slots.end(), source->slots.begin(), source->slots.end());
  }
  if (pieces.empty()) return;
  const Table<GatherFrom> from_table(device, from);
  const Table<std::int32_t> slot_table(device, slots);
  const Table<Piece> piece_table(device, pieces);
  with_type(dtype, [&]<class T>(T) {
    launch(device, gather_panels<T>, {static_cast<unsigned>(pieces.size()), kThreads}, dim, from_table.data(),
           slot_table.data(), piece_table.data());
  });
}

void combine(Device& device, DType dtype, const void* keys, const void* values, const Recipe& recipe,
             Tensor& key_rows, Tensor& value_rows) {
  if (recipe.rows() == 0) return;
  const Table<std::int64_t> offsets(device, recipe.offsets);
  const Table<std::int32_t> slots(device, recipe.slots);
  const Table<float> weights(device, recipe.weights);
  with_type(dtype, [&]<class T>(T) {
    launch(device, combine_rows<T>, {static_cast<unsigned>(recipe.rows()), kThreads},
           static_cast<const T*>(keys), static_cast<const T*>(values), key_rows.columns(), offsets.data(),
           slots.data(), weights.data(), key_rows.data<float>(), value_rows.data<float>());
  });
}

void put_rows(Device& device, const Tensor& key_rows, const Tensor& value_rows, DType dtype, void* keys,
              void* values) {
  if (key_rows.empty()) return;
  with_type(dtype, [&]<class T>(T) {
    launch(device, put_panels<T>, {static_cast<unsigned>(ceil_div(key_rows.rows(), kPanel)), kThreads},
           key_rows.data<float>(), value_rows.data<float>(), static_cast<int>(key_rows.rows()),
           key_rows.columns(), static_cast<T*>(keys), static_cast<T*>(values));
  });
}

void keep_window(Device& device, const Tensor& queries, const Tensor& log_sums, int layer, int first,
                 int tokens, Tensor& window_queries, Tensor& window_log_sums) {
  const int N = queries.dim(0), H = queries.dim(1), D = queries.dim(2), W = window_log_sums.dim(2);
  const int begin = std::max(0, tokens - W - first);
  if (begin >= N) return;
  with_type(queries.dtype(), [&]<class T>(T) {
    launch(device, keep_rows<T>, {{static_cast<unsigned>(N - begin), static_cast<unsigned>(H)}, kThreads},
           static_cast<const T*>(queries.at(0)), log_sums.data<float>(), H, D, W, layer, begin,
           tokens - 1 - (first + begin), static_cast<T*>(window_queries.at(0)),
           window_log_sums.data<float>());
  });
}

Tensor key_norms(Device& device, const DenseKv& cache, int tokens) {
  const int lanes = cache.layers() * cache.heads();
  Tensor out(device, DType::kF32, {cache.layers(), cache.heads(), tokens});
  if (out.empty()) return out;
  with_type(cache.dtype(), [&]<class T>(T) {
    launch(device, norms_of_keys<T>,
           {{static_cast<unsigned>(ceil_div(tokens, kThreads)), static_cast<unsigned>(lanes)}, kThreads},
           static_cast<const T*>(cache.lane_keys(0)), lane_elements(cache), cache.dim(), tokens,
           out.data<float>());
  });
  return out;
}

Tensor value_norms(Device& device, const DenseKv& cache, int tokens) {
  const int lanes = cache.layers() * cache.heads();
  Tensor out(device, DType::kF32, {cache.layers(), cache.heads(), tokens});
  if (out.empty()) return out;
  with_type(cache.dtype(), [&]<class T>(T) {
    launch(device, norms_of_values<T>,
           {{static_cast<unsigned>(ceil_div(std::ptrdiff_t{tokens} * numerics::kLanes, kThreads)),
             static_cast<unsigned>(lanes)},
            kThreads},
           static_cast<const T*>(cache.lane_values(0)), lane_elements(cache), cache.dim(), tokens,
           out.data<float>());
  });
  return out;
}

}  // namespace evictbench::cuda
