// Rankings: made, contested between the heads of a layer, cut at a budget.
#include <algorithm>

#include "core/cuda/nan_check.h"
#include "core/cuda/ops.h"
#include "core/cuda/rows.h"
#include "core/cuda/sort.h"

namespace evictbench::cuda {
namespace {

constexpr std::ptrdiff_t kMostKeys = std::ptrdiff_t{1} << 25;  // sorted at a time: twice 256 MiB

// Which slots of a row are ranked by their score: first .. end.
struct Unprotected {
  const std::int32_t* lengths;
  int sinks, window;
  __device__ int first(std::ptrdiff_t row) const { return sinks < lengths[row] ? sinks : lengths[row]; }
  __device__ int end(std::ptrdiff_t row) const {
    const int rest = lengths[row] - first(row);
    return lengths[row] - (window < rest ? window : rest);
  }
};

// Keys ascend as scores descend, and with the slot where scores are equal: no two of a row are.
struct MakeKeys {
  const float* scores;  // [rows, T]
  Unprotected unprotected;
  FirstNan nan;
  std::ptrdiff_t first_row;  // of those that are sorted now
  int columns, slot_bits;
  std::uint64_t* keys;          // [rows sorted now, T]
  std::int32_t *begins, *ends;  // [rows sorted now] of the segments
  template <int W>
  __device__ void run(std::ptrdiff_t n, int slot) const {
    const std::ptrdiff_t row = first_row + n;
    const int first = unprotected.first(row), end = unprotected.end(row);
    if (slot == 0) {
      begins[n] = static_cast<std::int32_t>(n * columns) + first;
      ends[n] = static_cast<std::int32_t>(n * columns) + end;
    }
    if (slot < first || slot >= end) return;
    const float score = scores[row * columns + slot];
    nan.check(score, row, slot);
    keys[n * columns + slot] =
        std::uint64_t{numerics::rank_key(score)} << slot_bits | static_cast<unsigned>(slot);
  }
};

// Sinks, the window from its newest slot backwards, the rest as sorted, -1 behind the row's length.
struct WriteOrder {
  const std::uint64_t* sorted;
  Unprotected unprotected;
  std::ptrdiff_t first_row;
  int columns, slot_bits;
  std::int32_t* order;  // [rows, T]
  template <int W>
  __device__ void run(std::ptrdiff_t n, int place) const {
    const std::ptrdiff_t row = first_row + n;
    const int length = unprotected.lengths[row], first = unprotected.first(row),
              window = length - unprotected.end(row);
    int slot = -1;
    if (place < first)
      slot = place;
    else if (place < first + window)
      slot = length - 1 - (place - first);
    else if (place < length)
      slot = static_cast<int>(sorted[n * columns + place - window] & ((std::uint64_t{1} << slot_bits) - 1));
    order[row * columns + place] = slot;
  }
};

// Which rows' entries come before a key. Rows are sorted, so the entries up to a key are found by halving.
struct Sorted {
  const float* scores;          // [L * heads, T]
  const std::int32_t* order;    // [L * heads, T]
  const std::int32_t* lengths;  // [L * heads]
  int columns, kept;            // entries in front that have no score
  __device__ int unprotected(std::ptrdiff_t row) const {
    return lengths[row] > kept ? lengths[row] - kept : 0;
  }
  // How many unprotected entries have a key of at most `key`, if it is known to be low .. high.
  __device__ int up_to(std::ptrdiff_t row, std::uint32_t key, int low, int high) const {
    const std::int32_t* entry = order + row * columns + (lengths[row] - unprotected(row));
    while (low < high) {
      const int middle = (low + high) / 2;
      if (numerics::rank_key(scores[row * columns + entry[middle]]) <= key)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
};

// A block finds the key of the last entry of its layer that wins by halving the range of keys.
__global__ void contest_layers(Sorted sorted, const std::int64_t* take, int heads, std::int32_t* won) {
  EVICTBENCH_DYNAMIC_SHARED(shared);
  auto* below = reinterpret_cast<std::int32_t*>(shared);  // [heads] entries whose key is less than `low`
  auto* up_to = below + heads;                            // [heads] entries whose key is at most `high`
  auto* middle = up_to + heads;                           // [heads]
  __shared__ int total;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const std::ptrdiff_t first_row = std::ptrdiff_t{blockIdx.x} * heads;
  std::int64_t left = take[blockIdx.x] > 0 ? take[blockIdx.x] : 0;
  for (int head = thread; head < heads; head += threads) {
    below[head] = 0;
    up_to[head] = sorted.unprotected(first_row + head);
  }
  std::uint64_t low = 0, high = 0xffffffffu;
  while (low < high) {
    const std::uint64_t key = (low + high) / 2;
    if (thread == 0) total = 0;
    __syncthreads();
    int mine = 0;
    for (int head = thread; head < heads; head += threads) {
      middle[head] =
          sorted.up_to(first_row + head, static_cast<std::uint32_t>(key), below[head], up_to[head]);
      mine += middle[head];
    }
    atomicAdd(&total, mine);
    __syncthreads();
    const bool enough = total >= left;
    for (int head = thread; head < heads; head += threads) (enough ? up_to : below)[head] = middle[head];
    (enough ? high : low) = enough ? key : key + 1;
    __syncthreads();
  }
  if (thread != 0) return;
  for (int head = 0; head < heads; ++head) left -= below[head];
  for (int head = 0; head < heads; ++head) {  // those with that very score: the lower head first
    const int ties = up_to[head] - below[head], tied = left < ties ? static_cast<int>(left) : ties;
    won[first_row + head] = below[head] + tied;
    left -= tied;
  }
}

constexpr int kPrefixThreads = 256;  // to a row
constexpr const char* kTooLarge = "prefix: a share larger than its row";

// Marks a row's slots as bits in shared memory and writes them in ascending order.
__global__ void prefix_rows(const std::int32_t* order, const std::int32_t* shares, const std::int64_t* firsts,
                            int columns, std::int32_t* slots, std::int32_t* foreign) {
  EVICTBENCH_DYNAMIC_SHARED(shared);
  auto* kept = reinterpret_cast<std::uint32_t*>(shared);  // a bit per slot
  __shared__ int of_warp[kPrefixThreads / 32];
  const int thread = static_cast<int>(threadIdx.x), words = (columns + 31) / 32, share = shares[blockIdx.x];
  for (int i = thread; i < words; i += kPrefixThreads) kept[i] = 0;
  __syncthreads();
  for (int i = thread; i < share; i += kPrefixThreads) {
    const std::int32_t slot = order[std::ptrdiff_t{blockIdx.x} * columns + i];
    if (slot < 0 || slot >= columns)
      *foreign = 1;
    else
      atomicOr(&kept[slot / 32], 1u << slot % 32);
  }
  __syncthreads();
  const int each = (words + kPrefixThreads - 1) / kPrefixThreads, begin = thread * each,
            end = begin + each < words ? begin + each : words;
  int mine = 0;
  for (int i = begin; i < end; ++i) mine += __popc(kept[i]);
  int before = mine;  // up to this thread, that included, in its warp
  for (unsigned by = 1; by < 32; by *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, before, by);
    if (threadIdx.x % 32 >= by) before += other;
  }
  if (threadIdx.x % 32 == 31) of_warp[threadIdx.x / 32] = before;
  __syncthreads();
  before -= mine;
  for (unsigned warp = 0; warp < threadIdx.x / 32; ++warp) before += of_warp[warp];
  std::int32_t* to = slots + firsts[blockIdx.x] + before;
  for (int i = begin; i < end; ++i)
    for (std::uint32_t bits = kept[i]; bits != 0; bits &= bits - 1)
      *to++ = i * 32 + __ffs(static_cast<int>(bits)) - 1;
}

}  // namespace

Tensor rank(Device& device, const Scores& scores, Protect protect) {
  return rank_in_pieces(device, scores, protect, kMostKeys);
}

Tensor rank_in_pieces(Device& device, const Scores& scores, Protect protect, std::ptrdiff_t most_keys) {
  const Tensor& values = scores.values;
  const int T = values.columns(), slot_bits = std::bit_width(static_cast<unsigned>(std::max(1, T - 1)));
  Tensor order(device, DType::kI32, values.dims());
  if (order.empty()) return order;
  const Table<std::int32_t> lengths(device, scores.lengths);
  const Unprotected unprotected{lengths.data(), protect.sinks, protect.window};
  NanCheck nan(device, scores.heads());
  const auto rows = std::clamp<std::ptrdiff_t>(most_keys / T, 1, values.rows());
  const int n = static_cast<int>(rows), keys = n * T;
  Tensor buffers(device, DType::kI32, {4, keys}), bounds(device, DType::kI32, {2, n});
  auto *from = static_cast<std::uint64_t*>(buffers.at(0)), *spare = from + keys;
  auto *begins = elements<std::int32_t>(bounds), *ends = begins + n;
  for (std::ptrdiff_t first = 0; first < values.rows(); first += rows) {
    const auto now = static_cast<int>(std::min(rows, values.rows() - first));
    each_element(
        device,
        MakeKeys{elements<float>(values), unprotected, nan.first(), first, T, slot_bits, from, begins, ends},
        now, T);
    const std::uint64_t* sorted =
        sort_segments(device, from, spare, now * T, begins, ends, now, 32 + slot_bits);
    each_element(device, WriteOrder{sorted, unprotected, first, T, slot_bits, elements<std::int32_t>(order)},
                 now, T);
  }
  nan.reject();
  return order;
}

// The ranking must be that of `scores`: each head then lies sorted, and no head is ever walked.
std::vector<std::int32_t> contest(Device& device, const Scores& scores, const Ranking& ranking,
                                  std::span<const std::int64_t> take) {
  const int heads = ranking.heads(), layers = ranking.order.dim(0), T = ranking.order.columns();
  require(std::ssize(take) == layers, "contest: one number per layer");
  require(std::int64_t{heads} * T <= std::numeric_limits<int>::max(), "contest: too many slots in a layer");
  if (ranking.lengths.empty()) return {};
  const Table<std::int32_t> lengths(device, ranking.lengths);
  const Table<std::int64_t> takes(device, take);
  Tensor won(device, DType::kI32, {layers, heads});
  launch(device, contest_layers,
         {static_cast<unsigned>(layers), static_cast<unsigned>(std::min(256, ceil_div(heads, 32) * 32)),
          3 * sizeof(std::int32_t) * static_cast<std::size_t>(heads)},
         Sorted{elements<float>(scores.values), elements<std::int32_t>(ranking.order), lengths.data(), T,
                ranking.protect.size()},
         takes.data(), heads, elements<std::int32_t>(won));
  return won.to_host<std::int32_t>();
}

std::vector<std::int32_t> prefix(Device& device, const Tensor& order, std::span<const std::int32_t> shares) {
  constexpr std::size_t kMostShared = std::size_t{160} << 10;
  require(std::ssize(shares) == order.rows(), "prefix: one share per row");
  const int T = order.columns();
  const std::size_t mask_bytes = sizeof(std::uint32_t) * static_cast<std::size_t>(ceil_div(T, 32));
  require(mask_bytes <= kMostShared, "prefix: rows longer than a block can mark");
  std::vector<std::int64_t> first(shares.size());  // where a row's slots begin
  std::int64_t all = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    require(shares[i] >= 0 && shares[i] <= T, kTooLarge);
    first[i] = all;
    all += shares[i];
  }
  if (all == 0) return {};
  require(all < std::numeric_limits<int>::max(), "prefix: too many slots");
  const Table<std::int32_t> share_of(device, shares);
  const Table<std::int64_t> first_of(device, first);
  Tensor out(device, DType::kI32, {static_cast<int>(all) + 1});  // the last: was a slot none of its row?
  device.zero(out.at(all), sizeof(std::int32_t));
  launch(device, prefix_rows, {static_cast<unsigned>(shares.size()), kPrefixThreads, mask_bytes},
         elements<std::int32_t>(order), share_of.data(), first_of.data(), T, elements<std::int32_t>(out),
         elements<std::int32_t>(out) + all);
  std::vector<std::int32_t> slots = out.to_host<std::int32_t>();
  require(slots.back() == 0, kTooLarge);
  slots.pop_back();
  return slots;
}

}  // namespace evictbench::cuda
