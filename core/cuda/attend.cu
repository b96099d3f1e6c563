// Attention with the CPU's arithmetic (core/numerics.h), for every type of keys and values: what mode f32 runs, and the
// tasks of modes bf16 and f16 that core/cuda/attend_half.h does not take.
#include <cmath>
#include <map>
#include <vector>

#include "core/cuda/attend_half.h"
#include "core/cuda/attend_tables.h"
#include "core/cuda/launch.h"
#include "core/cuda/ops.h"
#include "core/lane_blocks.h"

namespace evictbench::cuda {
namespace {

constexpr int kBlock = numerics::kBlock, kLanes = numerics::kLanes;
constexpr int kRows = 8;  // of a block of threads: 16 threads weigh for each
constexpr int kThreads = kRows * kLanes;
static_assert(kThreads == kBlock, "a thread for each entry of a block of positions");

constexpr std::size_t kNone = ~std::size_t{0};

// A task as the kernels see it; [2]: of base and tail. What is in the tables is told as an offset in bytes.
struct ExactTask {
  const void *keys[2], *values[2];
  int entries[2];
  std::size_t positions[2];     // int
  std::size_t bias;             // float, of the base, or kNone
  std::size_t present, before;  // the base's bits, words of 64; how many are set before each word; or kNone
  std::size_t block_ends;       // int
  std::size_t seen;             // Seen, of each token
  float* probabilities;         // [rows, entries that are present], or null
  int blocks;
  int first_row, rows, first_head, heads;  // rows: tokens times heads
  float softcap;
};
struct Piece {
  int task, row;  // rows [row, row + kRows) of the task
};

template <class U>
__device__ const U* table(const std::byte* tables, std::size_t at) {
  return reinterpret_cast<const U*>(tables + at);
}

// One entry of a lane.
template <class T>
struct Entry {
  __device__ Entry(const ExactTask& task, const std::byte* tables, int entry, int dim) {
    const int run = entry >= task.entries[0];
    index = run ? entry - task.entries[0] : entry;
    key = static_cast<const T*>(task.keys[run]) + key_index(index, dim, 0);
    value = static_cast<const T*>(task.values[run]) + std::ptrdiff_t{index} * dim;
    in_base = !run;
    present = run || task.present == kNone ||
              (table<std::uint64_t>(tables, task.present)[index / 64] >> (index % 64) & 1u);
    position = table<std::int32_t>(tables, task.positions[run])[index];
  }
  const T *key, *value;  // a key's dimensions are kPanel apart
  int index;             // in its run
  std::int32_t position;
  bool in_base, present;
};

// The rows of a piece.
struct Rows {
  __device__ Rows(const ExactTask& task, const std::byte* tables, int first, int heads)
      : count(task.rows - first < kRows ? task.rows - first : kRows), task_(task), first_(first) {
    all_heads_ = heads;
    seen_ = table<Seen>(tables, task.seen);
  }
  __device__ Seen seen(int r) const { return seen_[(first_ + r) / task_.heads]; }
  __device__ std::ptrdiff_t at(int r) const {  // in [N, H]
    const int row = first_ + r;
    return std::ptrdiff_t{task_.first_row + row / task_.heads} * all_heads_ + task_.first_head +
           row % task_.heads;
  }
  int count;

 private:
  const ExactTask& task_;
  const Seen* seen_;
  int first_, all_heads_;
};

// Queries of a piece -> q [D, kRows], 0 where there is no row.
template <class T>
__device__ void load_queries(const Rows& rows, const T* queries, int dim, float* q) {
  for (int i = static_cast<int>(threadIdx.x); i < dim * kRows; i += kThreads) {
    const int r = i / dim, d = i % dim;
    q[d * kRows + r] = r < rows.count ? widen(queries[rows.at(r) * dim + d]) : 0.0f;
  }
}

// Logits of kRows rows of one entry, cap and bias included.
template <class T>
__device__ void score(const ExactTask& task, const std::byte* tables, const Entry<T>& entry, const float* q,
                      int dim, float scale, float* logits) {
  float sums[kRows] = {};
  for (int d = 0; d < dim; ++d) {
    const float key = widen(entry.key[std::ptrdiff_t{d} * kPanel]);
    EVICTBENCH_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r] = numerics::fma(q[d * kRows + r], key, sums[r]);
  }
  EVICTBENCH_UNROLL
  for (int r = 0; r < kRows; ++r) {
    float logit = sums[r] * scale;
    if (task.softcap > 0) logit = numerics::softcap(logit, task.softcap);
    if (entry.in_base && task.bias != kNone) logit += table<float>(tables, task.bias)[entry.index];
    logits[r] = logit;
  }
}

constexpr unsigned kEvery = 0xffffffffu;
constexpr std::uint8_t kAbsent = 0xff;
constexpr float kUnseen = -1;  // in place of a weight, where a row does not see an entry

// What stands of a row after some blocks, and how the next one is merged into it.
struct Softmax {
  float max, sum;
  float keep, take;
  bool first, empty;
};

// By the 16 threads of a row: logits of the entries [first, first + n) of a lane -> weights, in place, and the block's
// share of the row's softmax. slots: position mod 16, or kAbsent. logits [n, kRows]
__device__ void weigh(float* logits, const std::uint8_t* slots, int first, int n, Seen seen,
                      Softmax& softmax) {
  const int mine = static_cast<int>(threadIdx.x) % kLanes;
  float top = -__builtin_inff();
  int any = 0;
  for (int i = mine; i < n; i += kLanes) {
    if (slots[i] == kAbsent || first + i >= seen.to) continue;
    if (first + i < seen.from)
      logits[i * kRows] = -__builtin_inff();
    else
      any = 1;
    top = logits[i * kRows] > top ? logits[i * kRows] : top;
  }
  for (int step = kLanes / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kEvery, top, step);
    top = other > top ? other : top;
    any |= __shfl_xor_sync(kEvery, any, step);
  }
  for (int i = mine; i < n; i += kLanes) {
    const bool sees = slots[i] != kAbsent && first + i < seen.to;
    logits[i * kRows] = sees ? numerics::exp(logits[i * kRows] - top) : kUnseen;
  }
  __syncwarp();
  float sum = 0;
  for (int i = 0; i < n; ++i)
    if (slots[i] == mine && !(logits[i * kRows] < 0)) sum += logits[i * kRows];
  for (unsigned half = kLanes / 2; half > 0; half /= 2) sum += __shfl_down_sync(kEvery, sum, half);
  sum = __shfl_sync(kEvery, sum, 0, kLanes);

  softmax.empty = any == 0;
  softmax.first = softmax.sum == 0;
  if (softmax.empty) return;
  const float most = top > softmax.max ? top : softmax.max;
  softmax.keep = numerics::exp(softmax.max - most);
  softmax.take = numerics::exp(top - most);
  softmax.sum = softmax.first ? sum : numerics::fma(softmax.sum, softmax.keep, sum * softmax.take);
  softmax.max = softmax.first ? top : most;
}

// One entry of a block of positions a thread for logits, one dimension a thread for outputs. Dynamic shared memory:
// [2, D, kRows] floats.
template <class T>
__global__ void attend_rows(const std::byte* tables, const ExactTask* tasks, const Piece* pieces,
                            const T* queries, int heads, int dim, float scale, T* out, float* log_sums) {
  EVICTBENCH_DYNAMIC_SHARED(bytes);
  __shared__ float weights[kBlock * kRows];  // or logits
  __shared__ const T* values[kBlock];
  __shared__ std::uint8_t slots[kBlock];
  __shared__ Softmax parts[kRows];
  auto* q = reinterpret_cast<float*>(bytes);  // [D, kRows]
  float* mixed = q + dim * kRows;             // [D, kRows] of what out will be
  const int thread = static_cast<int>(threadIdx.x), r = thread / kLanes;
  const Piece piece = pieces[blockIdx.x];
  const ExactTask& task = tasks[piece.task];
  const Rows rows(task, tables, piece.row, heads);
  load_queries(rows, queries, dim, q);
  __syncthreads();

  const Seen mine = r < rows.count ? rows.seen(r) : Seen{0, 0};
  const int least = rows.seen(0).from, most = rows.seen(rows.count - 1).to;  // both ends ascend
  const auto* ends = table<std::int32_t>(tables, task.block_ends);
  Softmax softmax{};
  for (int b = 0, first = 0; b < task.blocks && first < most; first = ends[b++]) {
    if (ends[b] <= least) continue;
    const int n = (ends[b] < most ? ends[b] : most) - first;
    if (thread < n) {
      const Entry<T> entry(task, tables, first + thread, dim);
      slots[thread] = entry.present ? static_cast<std::uint8_t>(entry.position % kLanes) : kAbsent;
      values[thread] = entry.value;
      if (entry.present) score(task, tables, entry, q, dim, scale, weights + thread * kRows);
    }
    __syncthreads();
    weigh(weights + r, slots, first, n, mine, softmax);
    if (thread % kLanes == 0) parts[r] = softmax;
    __syncthreads();
    for (int d = thread; d < dim; d += kThreads) {
      float sums[kRows] = {};
      for (int i = 0; i < n; ++i) {
        if (slots[i] == kAbsent) continue;
        const float value = widen(values[i][d]);
        EVICTBENCH_UNROLL
        for (int row = 0; row < kRows; ++row) {
          const float weight = weights[i * kRows + row];
          if (!(weight < 0)) sums[row] = numerics::fma(weight, value, sums[row]);
        }
      }
      EVICTBENCH_UNROLL
      for (int row = 0; row < kRows; ++row) {
        const Softmax& part = parts[row];
        float& to = mixed[d * kRows + row];
        if (!part.empty) to = part.first ? sums[row] : numerics::fma(to, part.keep, sums[row] * part.take);
      }
    }
    __syncthreads();
  }

  if (thread % kLanes == 0) parts[r] = softmax;
  __syncthreads();
  for (int i = thread; i < rows.count * dim; i += kThreads) {
    const int row = i / dim, d = i % dim;
    out[rows.at(row) * dim + d] = narrow<T>(mixed[d * kRows + row] / parts[row].sum);
  }
  if (thread < rows.count) log_sums[rows.at(thread)] = parts[thread].max + numerics::log(parts[thread].sum);
}

// Block (piece, 128 entries): the attention that rows paid to each present entry. Dynamic shared memory: [D, kRows]
// floats.
template <class T>
__global__ void write_probabilities(const std::byte* tables, const ExactTask* tasks, const Piece* pieces,
                                    const T* queries, int heads, int dim, float scale,
                                    const float* log_sums) {
  EVICTBENCH_DYNAMIC_SHARED(bytes);
  auto* q = reinterpret_cast<float*>(bytes);
  const Piece piece = pieces[blockIdx.x];
  const ExactTask& task = tasks[piece.task];
  const int first = static_cast<int>(blockIdx.y) * kThreads, all = task.entries[0] + task.entries[1];
  if (first >= all) return;
  const Rows rows(task, tables, piece.row, heads);
  load_queries(rows, queries, dim, q);
  __syncthreads();
  const int at = first + static_cast<int>(threadIdx.x);
  if (at >= all) return;
  const Entry<T> entry(task, tables, at, dim);
  if (!entry.present) return;
  float logits[kRows];
  score(task, tables, entry, q, dim, scale, logits);
  // Present entries before an entry of the base.
  const auto before = [&](int e) {
    if (task.present == kNone) return e;
    const std::uint64_t below = (std::uint64_t{1} << (e % 64)) - 1;
    return table<std::int32_t>(tables, task.before)[e / 64] +
           (e % 64 ? __popcll(table<std::uint64_t>(tables, task.present)[e / 64] & below) : 0);
  };
  const int of_base = before(task.entries[0]), present = of_base + task.entries[1];
  const int column = entry.in_base ? before(entry.index) : of_base + entry.index;
  for (int r = 0; r < rows.count; ++r) {
    const Seen seen = rows.seen(r);
    task.probabilities[std::ptrdiff_t{piece.row + r} * present + column] =
        at >= seen.from && at < seen.to ? numerics::exp(logits[r] - log_sums[rows.at(r)]) : 0.0f;
  }
}

// All that the kernels need from the host, in one upload. An array that several lanes share is there once.
class ExactTasks {
 public:
  ExactTasks(std::span<const AttendTask> from, DType dtype) {
    for (const AttendTask& task : from) {
      const Run *base = &task.lane.base, *tail = &task.lane.tail;
      for (const Run* run : {base, tail})
        require(run->entries == 0 || run->dtype == dtype, "attention: keys and values of another type");
      ExactTask to{.keys = {base->keys, tail->keys},
                   .values = {base->values, tail->values},
                   .entries = {base->entries, tail->entries},
                   .positions = {add(base->positions, base->entries), add(tail->positions, tail->entries)},
                   .bias = base->bias ? add(base->bias, base->entries) : kNone,
                   .present = kNone,
                   .before = kNone,
                   .block_ends = 0,
                   .seen = 0,
                   .probabilities = nullptr,
                   .blocks = 0,
                   .first_row = task.first_row,
                   .rows = task.rows * task.heads,
                   .first_head = task.first_head,
                   .heads = task.heads,
                   .softcap = task.form.softcap};
      if (base->present) {
        to.present = add(base->present, (base->entries + 63) / 64);
        to.before = add_counts(*base);
      }
      add_blocks(task, to);
      for (int row = 0; row < to.rows; row += kRows) pieces.push_back({static_cast<int>(tasks.size()), row});
      tasks.push_back(to);
      last_ = &task;
    }
  }

  std::vector<ExactTask> tasks;
  std::vector<Piece> pieces;
  Tables tables;

 private:
  template <class U>
  std::size_t add(const U* items, int n) {
    const auto [it, fresh] = at_.try_emplace({items, n}, 0);
    if (fresh) it->second = tables.add(std::span(items, static_cast<std::size_t>(n)));
    return it->second;
  }

  // Of each word of a mask, and behind the last one.
  std::size_t add_counts(const Run& run) {
    std::vector<std::int32_t> before{0};
    for (int e = 0; e < run.entries; e += 64) {
      const int left = run.entries - e;
      const std::uint64_t word = run.present[e / 64];
      before.push_back(before.back() +
                       std::popcount(left < 64 ? word & ((std::uint64_t{1} << left) - 1) : word));
    }
    return tables.add(std::span<const std::int32_t>(before));
  }

  // What the last task's tokens saw, mostly, this one's see too.
  void add_blocks(const AttendTask& task, ExactTask& to) {
    if (last_ && see_the_same(*last_, task)) {
      to.block_ends = tasks.back().block_ends;
      to.blocks = tasks.back().blocks;
      to.seen = tasks.back().seen;
      return;
    }
    const std::vector<std::int32_t> ends = block_ends(task.lane);
    std::vector<Seen> seen;
    append_seen(task, seen);
    to.block_ends = tables.add(std::span<const std::int32_t>(ends));
    to.blocks = static_cast<int>(ends.size());
    to.seen = tables.add(std::span<const Seen>(seen));
  }

  std::map<std::pair<const void*, int>, std::size_t> at_;
  const AttendTask* last_ = nullptr;
};

// Where the tasks that want them have their probabilities on the device; brings them to the host at the end.
class Probabilities {
 public:
  Probabilities(Device& device, std::span<const AttendTask> from, ExactTasks& exact) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (!from[i].probabilities) continue;
      const int entries = from[i].lane.present_entries();
      if (entries == 0 || exact.tasks[i].rows == 0) continue;
      tables_.emplace_back(from[i].probabilities,
                           Tensor(device, DType::kF32, {exact.tasks[i].rows, entries}));
      exact.tasks[i].probabilities = tables_.back().second.data<float>();
      most_entries_ = std::max(most_entries_, from[i].lane.base.entries + from[i].lane.tail.entries);
    }
    for (const Piece& piece : exact.pieces)
      if (exact.tasks[static_cast<std::size_t>(piece.task)].probabilities) pieces_.push_back(piece);
  }
  bool any() const { return !pieces_.empty(); }
  const std::vector<Piece>& pieces() const { return pieces_; }
  int blocks() const { return ceil_div(most_entries_, kThreads); }  // of entries
  void download() const {
    for (const auto& [to, table] : tables_) table.device().download(to, table.data<float>(), table.bytes());
  }

 private:
  std::vector<std::pair<float*, Tensor>> tables_;
  std::vector<Piece> pieces_;
  int most_entries_ = 0;
};

template <class T>
void attend_exact(Device& device, std::span<const AttendTask> from, const Tensor& queries, Tensor& out,
                  Tensor& log_sums) {
  const int H = queries.dim(1), D = queries.dim(2);
  ExactTasks exact(from, queries.dtype());
  if (exact.pieces.empty()) return;
  const Probabilities probabilities(device, from, exact);
  const std::size_t tasks = exact.tables.add(std::span<const ExactTask>(exact.tasks)),
                    pieces = exact.tables.add(std::span<const Piece>(exact.pieces)),
                    wanted = exact.tables.add(std::span<const Piece>(probabilities.pieces()));
  const Table<std::byte> uploaded(device, exact.tables.bytes());
  const std::byte* tables = uploaded.data();
  const auto* task_table = reinterpret_cast<const ExactTask*>(tables + tasks);
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  const std::size_t shared = sizeof(float) * kRows * static_cast<std::size_t>(D);
  launch(device, attend_rows<T>, {static_cast<unsigned>(exact.pieces.size()), kThreads, 2 * shared}, tables,
         task_table, reinterpret_cast<const Piece*>(tables + pieces), static_cast<const T*>(queries.at(0)), H,
         D, scale, static_cast<T*>(out.at(0)), log_sums.data<float>());
  if (!probabilities.any()) return;
  launch(
      device, write_probabilities<T>,
      {{static_cast<unsigned>(probabilities.pieces().size()), static_cast<unsigned>(probabilities.blocks())},
       kThreads,
       shared},
      tables, task_table, reinterpret_cast<const Piece*>(tables + wanted),
      static_cast<const T*>(queries.at(0)), H, D, scale, log_sums.data<float>());
  probabilities.download();
}

}  // namespace

void attend(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
            Tensor& log_sums) {
  constexpr int kMostDim = 512;  // as the CPU
  const int D = queries.dim(2);
  require(D <= kMostDim, "attention: head dim above 512");
  const bool half = queries.dtype() != DType::kF32;
  std::vector<AttendTask> exact, halves;
  for (const AttendTask& task : tasks) (half && attends_half(task, D) ? halves : exact).push_back(task);
  if (!halves.empty()) attend_half(device, halves, queries, out, log_sums);
  with_type(queries.dtype(), [&]<class T>(T) { attend_exact<T>(device, exact, queries, out, log_sums); });
}

}  // namespace evictbench::cuda
