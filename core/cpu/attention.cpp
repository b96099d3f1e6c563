#include "core/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/cpu/device.h"
#include "core/cpu/kernels.h"
#include "core/lane_blocks.h"
#include "core/numerics.h"

namespace evictbench::cpu {
namespace {

constexpr const char* kHoldsF32 = "cpu: caches are f32";

// What the kernel wants to know of a lane: where each block of 128 positions ends, counted over base and tail.
struct Lane {
  Lane(const LaneView& view, float softcap)
      : base(view.base), tail(view.tail), block_ends(evictbench::block_ends(view)) {
    require(base.dtype == DType::kF32 && tail.dtype == DType::kF32, kHoldsF32);
    kernel = {static_cast<const float*>(base.keys),
              static_cast<const float*>(base.values),
              static_cast<const float*>(tail.keys),
              static_cast<const float*>(tail.values),
              base.entries,
              tail.entries,
              base.bias,
              base.present,
              base.positions,
              tail.positions,
              block_ends.data(),
              static_cast<int>(block_ends.size()),
              softcap};
  }
  // Entries up to a position, that included.
  int up_to(std::int32_t position) const {
    const auto below = [&](const Run& run) {
      return static_cast<int>(std::upper_bound(run.positions, run.positions + run.entries, position) -
                              run.positions);
    };
    return tail.entries > 0 && tail.positions[0] <= position ? base.entries + below(tail) : below(base);
  }
  int entries() const { return base.entries + tail.entries; }

  Run base, tail;
  std::vector<std::int32_t> block_ends;
  AttendLane kernel{};
};

// The rows [first, last) of a task, counted token by token and head by head.
void attend_rows(CpuDevice& cpu, const AttendTask& task, const Lane& lane, int first, int last,
                 float* scratch, const Tensor& queries, Tensor& out, Tensor& log_sums) {
  const int H = queries.dim(1), D = queries.dim(2);
  const float* query[kMaxRows];
  float *to[kMaxRows], *log_sum[kMaxRows], *probabilities[kMaxRows];
  int from[kMaxRows], seen[kMaxRows];
  const std::ptrdiff_t entries = task.probabilities ? task.lane.present_entries() : 0;
  for (int row = first; row < last; ++row) {
    const int i = row - first, token = row / task.heads, head = task.first_head + row % task.heads;
    const std::ptrdiff_t at = std::ptrdiff_t{task.first_row + token} * H + head;
    query[i] = queries.row<float>(at);
    to[i] = out.row<float>(at);
    log_sum[i] = log_sums.data<float>() + at;
    const std::int32_t position = task.position + token;
    seen[i] = lane.up_to(position);
    from[i] = task.form.window > 0 ? lane.up_to(position - task.form.window) : 0;
    require(seen[i] > from[i], "attention over nothing");
    if (task.probabilities) probabilities[i] = task.probabilities + row * entries;
  }
  const bool pairs = cpu.products() == CpuDevice::Products::kBf16Dot;
  (pairs ? cpu.kernels().attend_pairs : cpu.kernels().attend)(
      lane.kernel,
      {last - first, query, from, seen, to, log_sum, task.probabilities ? probabilities : nullptr}, D,
      scratch);
}

// Mode bf16dot: the keys and values of lanes that several pieces of work meet, in pairs, made once for all of them.
class LaneWords {
 public:
  LaneWords(CpuDevice& cpu, std::span<const AttendTask> tasks, int dim) {
    if (cpu.products() != CpuDevice::Products::kBf16Dot) return;
    struct Piece {
      std::size_t task;
      int first;
    };
    std::vector<Piece> pieces;
    words_.resize(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      const int entries = tasks[i].lane.base.entries;
      if (tasks[i].rows * tasks[i].heads <= kFewPieces * kMaxRows) continue;
      words_[i].keys = Tensor(cpu, DType::kF32, {padded(entries), (dim + 1) / 2});
      words_[i].values = Tensor(cpu, DType::kF32, {(entries + 1) / 2, (dim + 15) / 16 * 16});
      for (int first = 0; first < entries; first += kEntries) pieces.push_back({i, first});
    }
    cpu.each(static_cast<int>(pieces.size()), [&](int piece) {
      const auto [i, first] = pieces[static_cast<std::size_t>(piece)];
      const Run& base = tasks[i].lane.base;
      const int count = std::min(kEntries, base.entries - first);
      const std::ptrdiff_t from = std::ptrdiff_t{first} * dim;
      cpu.kernels().pair_keys(static_cast<const float*>(base.keys) + from, padded(count) / kPanel, dim,
                              words_[i].keys.row<float>(first));
      cpu.kernels().pair_values(static_cast<const float*>(base.values) + from, count, dim,
                                words_[i].values.row<float>(first / 2));
    });
  }
  void give(std::size_t task, Lane& lane) const {
    if (words_.empty() || words_[task].keys.empty()) return;
    lane.kernel.key_words = words_[task].keys.data<float>();
    const auto is_odd = [](std::int32_t end) { return end % 2 != 0; };
    if (std::none_of(lane.block_ends.begin(), lane.block_ends.end() - 1, is_odd))
      lane.kernel.value_words = words_[task].values.data<float>();
  }

 private:
  static constexpr int kFewPieces = 2, kEntries = 256;
  struct Words {
    Tensor keys, values;  // [panels, pairs of dims, 16], [pairs of entries, D up to a multiple of 16]
  };
  std::vector<Words> words_;  // [tasks]; empty where there is little to do
};

}  // namespace

void store(Device& device, const Tensor& k, const Tensor& v, int layer, std::span<const StoreTask> tasks) {
  const int G = k.dim(1), D = k.dim(2);
  std::vector<std::pair<const StoreTask*, int>> lanes;  // and the head
  for (const StoreTask& task : tasks)
    for (int head = 0; head < task.to->heads(); ++head) lanes.emplace_back(&task, head);
  cpu_of(device).each(static_cast<int>(lanes.size()), [&](int i) {
    const auto& [task, head] = lanes[static_cast<std::size_t>(i)];
    const int heads = task->to->heads();  // G, or H where every query head has a lane of its own
    const int lane = layer * heads + head;
    float *keys = task->to->lane_keys<float>(lane), *values = task->to->lane_values<float>(lane);
    for (int r = 0; r < task->rows; ++r) {
      const std::ptrdiff_t from = std::ptrdiff_t{task->first_row + r} * G + head * G / heads;
      const int entry = task->first_entry + r;
      const float* key = k.row<float>(from);
      for (int d = 0; d < D; ++d) keys[key_index(entry, D, d)] = key[d];
      std::memcpy(values + std::ptrdiff_t{entry} * D, v.row<float>(from),
                  sizeof(float) * static_cast<std::size_t>(D));
    }
  });
}

void attend(Device& device, std::span<const AttendTask> tasks, const Tensor& queries, Tensor& out,
            Tensor& log_sums) {
  const int D = queries.dim(2);
  require(D <= kMaxDim, "attention: head dim above 512");
  CpuDevice& cpu = cpu_of(device);
  const LaneWords words(cpu, tasks, D);
  struct Piece {
    std::size_t task;
    int first;
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < tasks.size(); ++i)
    for (int first = 0; first < tasks[i].rows * tasks[i].heads; first += kMaxRows)
      pieces.push_back({i, first});
  cpu.each(static_cast<int>(pieces.size()), [&](int piece) {
    const auto [i, first] = pieces[static_cast<std::size_t>(piece)];
    const AttendTask& task = tasks[i];
    Lane lane(task.lane, task.form.softcap);
    words.give(i, lane);
    static thread_local std::vector<float> scratch;
    const std::size_t wanted = attend_scratch(lane.entries(), D, task.probabilities != nullptr);
    if (scratch.size() < wanted) scratch.resize(wanted);
    attend_rows(cpu, task, lane, first, std::min(task.rows * task.heads, first + kMaxRows), scratch.data(),
                queries, out, log_sums);
  });
}

void add_column_sums(Device& device, const DenseKv& cache, int layer, AttentionForm form,
                     const Tensor& queries, const Tensor& log_sums, int first_position, Tensor& sums) {
  const int N = queries.dim(0), H = queries.dim(1), D = queries.dim(2), G = cache.heads(), T = sums.dim(2);
  constexpr int kPanels = 16;  // of one piece of work
  const int panels = padded(std::min(T, first_position + N)) / kPanel,
            pieces = (panels + kPanels - 1) / kPanels;
  const Kernels& kernels = cpu_of(device).kernels();
  cpu_of(device).each(H * pieces, [&](int task) {
    const int head = task / pieces, panel = task % pieces * kPanels, first = panel * kPanel,
              mine = std::min(kPanels, panels - panel), lane = layer * G + head * G / H;
    float packed[kMaxRows * kMaxDim], logits[kMaxRows * kPanels * kPanel], piece[kPanels * kPanel] = {};
    float* out = sums.row<float>(std::ptrdiff_t{layer} * H + head) + first;
    const std::size_t bytes = static_cast<std::size_t>(std::min(mine * kPanel, T - first)) * sizeof(float);
    std::memcpy(piece, out, bytes);
    for (int n = std::max(0, first - first_position); n < N; n += kMaxRows) {
      const int count = std::min(kMaxRows, N - n);
      kernels.pack_rows(queries.row<float>(std::ptrdiff_t{n} * H + head), std::ptrdiff_t{H} * D, count, D,
                        packed);
      kernels.column_sums(packed, log_sums.row<float>(n) + head, H, count, first_position + n,
                          cache.lane_keys<float>(lane) + std::ptrdiff_t{first} * D, first, mine, D, form,
                          piece, logits);
    }
    std::memcpy(out, piece, bytes);
  });
}

void keep_window(Device& device, const Tensor& queries, const Tensor& log_sums, int layer, int first,
                 int tokens, Tensor& window_queries, Tensor& window_log_sums) {
  const int N = queries.dim(0), H = queries.dim(1), D = queries.dim(2), W = window_log_sums.dim(2);
  const int begin = std::max(0, tokens - W - first);
  if (begin >= N) return;
  cpu_of(device).each(H, [&](int h) {
    const std::ptrdiff_t row = std::ptrdiff_t{layer} * H + h;
    for (int n = begin; n < N; ++n) {
      const int newest = tokens - 1 - (first + n);
      std::memcpy(window_queries.row<float>(row * W + newest), queries.row<float>(std::ptrdiff_t{n} * H + h),
                  sizeof(float) * static_cast<std::size_t>(D));
      window_log_sums.row<float>(row)[newest] = log_sums.row<float>(n)[h];
    }
  });
}

void gather(Device& device, DType dtype, int dim, std::span<const GatherTask> tasks) {
  require(dtype == DType::kF32, kHoldsF32);
  cpu_of(device).each(static_cast<int>(tasks.size()), [&](int i) {
    const GatherTask& task = tasks[static_cast<std::size_t>(i)];
    const int of_base = static_cast<int>(task.base.slots.size()), kept = task.entries();
    auto *to_keys = static_cast<float*>(task.to_keys), *to_values = static_cast<float*>(task.to_values);
    for (int first = 0; first < kept; first += kPanel) {  // panel by panel: writes are whole rows of 16
      const int count = std::min(kPanel, kept - first);
      const float *keys[kPanel], *values[kPanel];
      for (int e = 0; e < count; ++e) {
        const bool tail = first + e >= of_base;
        const GatherTask::Source& from = tail ? task.tail : task.base;
        const std::int32_t slot = from.slots[static_cast<std::size_t>(first + e - (tail ? of_base : 0))];
        keys[e] = static_cast<const float*>(from.keys) + key_index(slot, dim, 0);
        values[e] = static_cast<const float*>(from.values) + std::ptrdiff_t{slot} * dim;
      }
      float* to = to_keys + std::ptrdiff_t{first} * dim;
      for (int d = 0; d < dim; ++d, to += kPanel)
        for (int e = 0; e < kPanel; ++e) to[e] = e < count ? keys[e][std::ptrdiff_t{d} * kPanel] : 0.0f;
      for (int e = 0; e < count; ++e)
        std::memcpy(to_values + std::ptrdiff_t{first + e} * dim, values[e],
                    sizeof(float) * static_cast<std::size_t>(dim));
    }
  });
}

void combine(Device&, DType dtype, const void* lane_keys, const void* lane_values, const Recipe& recipe,
             Tensor& key_rows, Tensor& value_rows) {
  require(dtype == DType::kF32, kHoldsF32);
  const int dim = key_rows.columns();
  const auto *keys = static_cast<const float*>(lane_keys), *values = static_cast<const float*>(lane_values);
  for (int row = 0; row < recipe.rows(); ++row) {
    const auto first = static_cast<std::size_t>(recipe.offsets[static_cast<std::size_t>(row)]);
    const auto last = static_cast<std::size_t>(recipe.offsets[static_cast<std::size_t>(row) + 1]);
    for (std::size_t i = first; i < last; ++i) {
      const float weight = recipe.weights[i];
      const float* value = values + std::ptrdiff_t{recipe.slots[i]} * dim;
      float *key_out = key_rows.row<float>(row), *value_out = value_rows.row<float>(row);
      for (int d = 0; d < dim; ++d) {
        const float key = keys[key_index(recipe.slots[i], dim, d)];
        key_out[d] = i == first ? weight * key : numerics::fma(weight, key, key_out[d]);
        value_out[d] = i == first ? weight * value[d] : numerics::fma(weight, value[d], value_out[d]);
      }
    }
  }
}

void put_rows(Device&, const Tensor& key_rows, const Tensor& value_rows, DType dtype, void* lane_keys,
              void* lane_values) {
  require(dtype == DType::kF32, kHoldsF32);
  const int dim = key_rows.columns();
  auto* keys = static_cast<float*>(lane_keys);
  for (std::ptrdiff_t e = 0; e < key_rows.rows(); ++e)
    for (int d = 0; d < dim; ++d) keys[key_index(e, dim, d)] = key_rows.row<float>(e)[d];
  std::memcpy(lane_values, value_rows.data<float>(), value_rows.bytes());
}

std::vector<Tensor> window_attention(Device& device, const Tensor& queries, const Tensor& log_sums,
                                     const DenseKv& cache, std::span<const AttentionForm> forms, int tokens,
                                     int window, std::span<const Reduction> how) {
  const int L = queries.dim(0), H = queries.dim(1), D = queries.dim(3), G = cache.heads(), T = tokens;
  const int rows = std::min(window, T);
  std::vector<Tensor> tables;
  for (std::size_t i = 0; i < how.size(); ++i)
    tables.emplace_back(device, DType::kF32, std::vector<int>{L, H, T});
  const Kernels& kernels = cpu_of(device).kernels();
  cpu_of(device).each(L * H, [&](int row) {
    const int lane = row / H * G + row % H * G / H;
    std::vector<float> scratch(static_cast<std::size_t>(rows) * static_cast<std::size_t>(2 * kPanel + D));
    std::vector<float*> out;
    for (Tensor& table : tables) out.push_back(table.row<float>(row));
    kernels.window_row(queries.data<float>() + std::ptrdiff_t{row} * queries.dim(2) * D,
                       log_sums.row<float>(row), rows, cache.lane_keys<float>(lane), T, D,
                       forms.empty() ? AttentionForm{} : forms[static_cast<std::size_t>(row / H)], how.data(),
                       static_cast<int>(how.size()), out.data(), scratch.data());
  });
  return tables;
}

}  // namespace evictbench::cpu
