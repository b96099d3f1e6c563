#include "core/cpu/score_ops.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>

#include "core/cpu/device.h"
#include "core/numerics.h"

namespace evictbench::cpu {
namespace {

// Calls work(row) for every row of a table [.., T], on the device's threads.
template <class Work>
void each_row(Device& device, const Tensor& table, const Work& work) {
  cpu_of(device).each(static_cast<int>(table.rows()), work);
}

// The first NaN among slots first .. last of a row, or -1.
std::int32_t find_nan(const float* row, int first, int last) {
  const float* at = std::find_if(row + first, row + last, [](float x) { return x != x; });
  return at == row + last ? -1 : static_cast<std::int32_t>(at - row);
}

// nan_at [L * heads] is what find_nan said of every row.
void reject_nan(std::span<const std::int32_t> nan_at, int heads) {
  const auto bad = std::ranges::find_if(nan_at, [](std::int32_t slot) { return slot >= 0; });
  if (bad == nan_at.end()) return;
  const auto row = static_cast<int>(bad - nan_at.begin());
  reject_nan_score(row / heads, row % heads, *bad);
}

struct Entry {
  std::uint32_t key;
  std::int32_t slot;
};

// By ascending key; equal keys stay in the order they came in.
void radix_sort(std::vector<Entry>& entries) {
  constexpr unsigned kBits = 11, kPasses = 3, kDigits = 1u << kBits;
  const auto digit = [](const Entry& e, unsigned pass) { return e.key >> (pass * kBits) & (kDigits - 1); };
  std::array<std::array<std::uint32_t, kDigits>, kPasses> counts{};
  for (const Entry& e : entries)
    for (unsigned pass = 0; pass < kPasses; ++pass) ++counts[pass][digit(e, pass)];
  std::vector<Entry> sorted(entries.size());
  for (unsigned pass = 0; pass < kPasses; ++pass) {
    auto& next = counts[pass];  // where the next entry with this digit goes
    std::exclusive_scan(next.begin(), next.end(), next.begin(), 0u);
    for (const Entry& e : entries) sorted[next[digit(e, pass)]++] = e;
    entries.swap(sorted);
  }
}

// out[t] = largest of the `kernel` numbers around in[t], as far as there are so many.
void max_pool(const float* in, float* out, int n, int kernel) {
  kernel = std::min(kernel, 2 * n - 1);
  std::vector<float> most(static_cast<std::size_t>(n + kernel - 1), -std::numeric_limits<float>::infinity());
  std::copy(in, in + n, most.begin() + kernel / 2);
  int width = 1;  // most[i] is the largest of `width` numbers from i on
  for (; 2 * width <= kernel; width *= 2)
    for (std::size_t i = 0, j = static_cast<std::size_t>(width); j < most.size(); ++i, ++j)
      most[i] = std::max(most[i], most[j]);
  for (int t = 0; t < n; ++t)
    out[t] = std::max(most[static_cast<std::size_t>(t)], most[static_cast<std::size_t>(t + kernel - width)]);
}

// out[t] = sum of the numbers around in[t], in ascending order, over `kernel`, however many there are.
void mean_pool(const float* in, float* out, int n, int kernel) {
  std::fill(out, out + n, 0.0f);
  const int reach = std::min(kernel / 2, n - 1);
  for (int offset = -reach; offset <= reach; ++offset)
    for (int t = std::max(0, -offset), last = std::min(n, n - offset); t < last; ++t)
      out[t] += in[t + offset];
  for (int t = 0; t < n; ++t) out[t] /= static_cast<float>(kernel);
}

}  // namespace

Tensor negate(Device& device, const Tensor& scores) {
  Tensor out(device, DType::kF32, scores.dims());
  each_row(device, scores, [&](int row) {
    const float* in = scores.row<float>(row);
    std::transform(in, in + scores.columns(), out.row<float>(row), std::negate<>());
  });
  return out;
}

Tensor reduce_heads(Device& device, const Tensor& scores, int kv_heads, HeadReduce how, Grouping grouping) {
  const int L = scores.dim(0), H = scores.dim(1), T = scores.dim(2), members = H / kv_heads;
  require(members * kv_heads == H, "reduce_heads: query heads do not divide into groups");
  Tensor out(device, DType::kF32, {L, kv_heads, T});
  each_row(device, out, [&](int row) {
    const int layer = row / kv_heads, b = row % kv_heads;
    float* to = out.row<float>(row);
    for (int member = 0; member < members; ++member) {  // ascending: the order of the sum
      const int head = grouping == Grouping::kContiguous ? b * members + member : member * kv_heads + b;
      const float* in = scores.row<float>(std::ptrdiff_t{layer} * H + head);
      if (member == 0)
        std::copy(in, in + T, to);
      else if (how == HeadReduce::kMean)
        for (int t = 0; t < T; ++t) to[t] += in[t];
      else
        for (int t = 0; t < T; ++t) to[t] = to[t] >= in[t] || to[t] != to[t] ? to[t] : in[t];  // NaN stays
    }
    if (how == HeadReduce::kMean)
      for (int t = 0; t < T; ++t) to[t] /= static_cast<float>(members);
  });
  return out;
}

Tensor pool(Device& device, const Scores& scores, Pool how, int kernel, int window) {
  Tensor out(device, DType::kF32, scores.values.dims());
  std::vector<std::int32_t> nan_at(scores.lengths.size(), -1);
  each_row(device, out, [&](int row) {
    const auto i = static_cast<std::size_t>(row);
    const float* in = scores.values.row<float>(row);
    float* to = out.row<float>(row);
    const int past = std::max(0, scores.lengths[i] - window);
    nan_at[i] = find_nan(in, 0, past);
    if (past > 0) (how == Pool::kMax ? max_pool : mean_pool)(in, to, past, kernel);
    std::fill(to + past, to + out.columns(), 0.0f);
  });
  reject_nan(nan_at, scores.heads());
  return out;
}

Tensor rank(Device& device, const Scores& scores, Protect protect) {
  Tensor out(device, DType::kI32, scores.values.dims());
  std::vector<std::int32_t> nan_at(scores.lengths.size(), -1);
  each_row(device, out, [&](int row) {
    const auto i = static_cast<std::size_t>(row);
    const float* score = scores.values.row<float>(row);
    const int length = scores.lengths[i], sinks = std::min(protect.sinks, length);
    const int end = length - std::min(protect.window, length - sinks);  // unprotected: sinks .. end
    nan_at[i] = find_nan(score, sinks, end);

    std::int32_t* order = out.row<std::int32_t>(row);
    std::iota(order, order + sinks, 0);
    order += sinks;
    for (int slot = length - 1; slot >= end; --slot) *order++ = slot;
    std::vector<Entry> entries;
    entries.reserve(static_cast<std::size_t>(end - sinks));
    for (int slot = sinks; slot < end; ++slot) entries.push_back({numerics::rank_key(score[slot]), slot});
    radix_sort(entries);
    for (const Entry& e : entries) *order++ = e.slot;
    std::fill(order, out.row<std::int32_t>(row) + out.columns(), -1);
  });
  reject_nan(nan_at, scores.heads());
  return out;
}

// The ranking must be that of `scores`: each head then lies sorted, so the score of the last entry that wins is found
// by halving the range of keys, and no head is ever walked.
std::vector<std::int32_t> contest(Device& device, const Scores& scores, const Ranking& ranking,
                                  std::span<const std::int64_t> take) {
  const int heads = ranking.heads(), layers = ranking.order.dim(0);
  require(std::ssize(take) == layers, "contest: one number per layer");
  std::vector<std::int32_t> won(ranking.lengths.size());  // [L * heads]
  cpu_of(device).each(layers, [&](int layer) {
    const auto up_to = [&](int head, std::int64_t key) {  // unprotected entries whose key is at most this
      const int row = layer * heads + head, length = ranking.lengths[static_cast<std::size_t>(row)];
      const float* score = scores.values.row<float>(row);
      const std::int32_t* order = ranking.order.row<std::int32_t>(row);
      const std::int32_t* first = order + std::min(ranking.protect.size(), length);
      const auto wins = [&](std::int32_t slot) { return numerics::rank_key(score[slot]) <= key; };
      return static_cast<std::int32_t>(std::partition_point(first, order + length, wins) - first);
    };
    const auto all_up_to = [&](std::int64_t key) {
      std::int64_t sum = 0;
      for (int head = 0; head < heads; ++head) sum += up_to(head, key);
      return sum;
    };
    std::int64_t left = std::max<std::int64_t>(0, take[static_cast<std::size_t>(layer)]);
    std::int64_t low = 0,
                 high = std::numeric_limits<std::uint32_t>::max();  // the last winner's key is in here
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (all_up_to(middle) >= left)
        high = middle;
      else
        low = middle + 1;
    }
    const auto mine =
        std::span(won).subspan(static_cast<std::size_t>(layer * heads), static_cast<std::size_t>(heads));
    for (int head = 0; head < heads; ++head)
      left -= mine[static_cast<std::size_t>(head)] = up_to(head, low - 1);
    for (int head = 0; head < heads; ++head) {  // those with that very score: the lower head first
      auto& count = mine[static_cast<std::size_t>(head)];
      const auto tied = static_cast<std::int32_t>(std::min<std::int64_t>(left, up_to(head, low) - count));
      count += tied;
      left -= tied;
    }
  });
  return won;
}

std::vector<std::int32_t> prefix(Device& device, const Tensor& order, std::span<const std::int32_t> shares) {
  require(std::ssize(shares) == order.rows(), "prefix: one share per row");
  const int T = order.columns();
  std::vector<std::size_t> first(shares.size() + 1);  // where a row's slots begin
  for (std::size_t i = 0; i < shares.size(); ++i) {
    require(shares[i] >= 0 && shares[i] <= T, "prefix: a share larger than its row");
    first[i + 1] = first[i] + static_cast<std::size_t>(shares[i]);
  }
  std::vector<std::int32_t> slots(first.back());
  each_row(device, order, [&](int row) {
    const auto i = static_cast<std::size_t>(row);
    std::vector<std::uint64_t> kept(static_cast<std::size_t>(T + 63) / 64);  // a bit per slot
    for (const std::int32_t slot :
         std::span(order.row<std::int32_t>(row), static_cast<std::size_t>(shares[i]))) {
      require(slot >= 0 && slot < T, "prefix: a share larger than its row");
      kept[static_cast<std::size_t>(slot) / 64] |= std::uint64_t{1} << (slot % 64);
    }
    auto to = slots.begin() + static_cast<std::ptrdiff_t>(first[i]);
    for (std::size_t word = 0; word < kept.size(); ++word)
      for (std::uint64_t bits = kept[word]; bits != 0; bits &= bits - 1)
        *to++ = static_cast<std::int32_t>(word) * 64 + std::countr_zero(bits);
  });
  return slots;
}

}  // namespace evictbench::cpu
