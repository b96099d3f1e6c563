// Attention of a tile of query rows to one lane. Included by core/cpu/kernels_impl.h alone, inside its namespace.

constexpr int kBlock = numerics::kBlock;
constexpr int kWeightStride = kBlock + 16;
constexpr int kMostRows = (kMaxRows + 15) / 16 * 16;
constexpr int kFewRows =
    kRowTile / 2;  // up to here keys and values come from memory faster than they are worked on

// Attention is made of products as Product has them: F32Weights over keys and values as they lie, or PairWeights (mode
// bf16dot) over words of two bf16: of two dims of a query or key, and of two present entries of a block, of their weights
// or values, that follow one another. They are made for each tile of rows, unless the lane brings those of its keys and values.

// Keys in pairs of dims -> words [panels, pairs, 16]
template <class Product>
EVICTBENCH_INLINE void pair_keys_of(const float* keys, int panels, int dim, float* words) {
  for (int panel = 0; panel < panels; ++panel, keys += std::ptrdiff_t{16} * dim)
    for (int d = 0; d < dim; d += 2, words += 16)
      store(words, Product::across(load(keys + d * 16), d + 1 < dim ? load(keys + d * 16 + 16) : set1(0.0f)));
}

// Logits of rows (in strips [D or its pairs, R]) against panels of keys -> logits[r * stride + entry], times `scale`.
// `words`: the keys in pairs, or null: they are made here where Product wants them.
template <class Product>
void score_panels(const float* strips_of_q, int rows, int dim, const float* keys, const float* words,
                  int panels, V16 scale, float* logits, std::ptrdiff_t stride) {
  const Strips strips(rows);
  const int depth = Product::kPairs ? (dim + 1) / 2 : dim;
  const auto run = [&]<int NC>(int panel) EVICTBENCH_LAMBDA {
    const float* here = keys + std::ptrdiff_t{panel} * 16 * dim;
    if constexpr (Product::kPairs) {
      alignas(64) static thread_local float made[NC * kMaxDim / 2 * 16];  // [NC, pairs, 16]
      if (!words) pair_keys_of<Product>(here, NC, dim, made);
      here = words ? words + std::ptrdiff_t{panel} * 16 * depth : made;
    }
    for (int s = 0; s < strips.count; ++s) {
      const int row = strips.begin(s);
      with_rows<kRowTile>(strips.begin(s + 1) - row, [&]<int R>() {
        float* to = logits + row * stride + panel * 16;
        const std::ptrdiff_t step = stride;
        const V16 by = scale;
        Accumulators<R, NC> acc;
        acc.clear();
        accumulate<Strip<R>, Product>(strips_of_q + row * depth, here, depth, 16, std::ptrdiff_t{16} * depth,
                                      acc);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r, to += step)
          for (int c = 0; c < NC; ++c) store(to + c * 16, mul(acc.v[r][c], by));
      });
    }
  };
  int panel = 0;
  for (; panel + kColumnTile <= panels; panel += kColumnTile) run.template operator()<kColumnTile>(panel);
  if constexpr (kColumnTile > 1)
    for (; panel < panels; ++panel) run.template operator()<1>(panel);
}

struct Run {  // entries that lie together
  const float* values;
  int from, to;  // of the present ones
};

struct Runs {
  const Run *first, *last;
  EVICTBENCH_INLINE const Run* begin() const { return first; }
  EVICTBENCH_INLINE const Run* end() const { return last; }
};

// The present keys of one block of positions, common to all rows of a tile.
struct Block {
  int first = 0;             // entry of the lane
  int entries = 0;           // present
  int index[kBlock];         // of each present one, counted from `first`; ascending by one if `together`
  int offset[kBlock];        // position mod 128
  bool together = true;      // all entries are present
  bool one_each = true;      // no two share a position
  bool aligned = true;       // positions ascend by one from a multiple of 16 on
  bool plain = true;         // together and aligned; index, offset and at are not filled in
  unsigned at[kBlock / 16];  // bits of the positions taken in each stretch of 16
  int runs = 0;
  Run run[kBlock];
};

EVICTBENCH_INLINE void add_run(Block& block, const float* values, int from, int to) {
  if (to > from) block.run[block.runs++] = {values, from, to};
}

// Entries [from, to) of a run of the lane, all present, whose first one is entry `first` of the block.
EVICTBENCH_INLINE void collect_run(const float* values, const std::int32_t* positions, int from, int to,
                                   int first, int dim, Block& block) {
  const int before = block.entries;
  for (int e = from; e < to; ++e, ++block.entries) {
    block.index[block.entries] = first + e - from;
    block.offset[block.entries] = positions[e] % kBlock;
  }
  add_run(block, values + std::ptrdiff_t{from} * dim, before, block.entries);
}

// Entries [from, to) of the base where none is absent, none in the tail, and their positions are aligned.
EVICTBENCH_INLINE bool is_plain(const AttendLane& lane, int from, int to) {
  if (lane.present || to > lane.base || to <= from) return false;
  const std::int32_t first = lane.base_positions[from];
  std::int32_t other = first % 16;
  for (int e = from; e < to; ++e) other |= (lane.base_positions[e] - first) ^ (e - from);
  return other == 0;
}

EVICTBENCH_INLINE void collect(const AttendLane& lane, int from, int to, int dim, Block& block) {
  block.first = from;
  block.entries = block.runs = 0;
  block.plain = is_plain(lane, from, to);
  if (block.plain) {
    block.entries = to - from;
    block.together = block.aligned = block.one_each = true;
    return add_run(block, lane.base_values + std::ptrdiff_t{from} * dim, 0, block.entries);
  }
  const int base_end = to < lane.base ? to : lane.base;
  if (!lane.present) {
    collect_run(lane.base_values, lane.base_positions, from, base_end, 0, dim, block);
  } else {
    for (int e = from; e < base_end;) {  // run by run of present entries
      const std::uint64_t word = lane.present[e / 64] >> (e % 64);
      if (!(word & 1u)) {
        const int skipped = word ? __builtin_ctzll(word) : 64 - e % 64;
        e += skipped;
        continue;
      }
      const int length = ~word ? __builtin_ctzll(~word) : 64;  // zeros are shifted in: never beyond the word
      const int end = e + length < base_end ? e + length : base_end;
      collect_run(lane.base_values, lane.base_positions, e, end, e - from, dim, block);
      e = end;
    }
  }
  const int tail_from = (from < lane.base ? lane.base : from) - lane.base;
  collect_run(lane.tail_values, lane.tail_positions, tail_from, to - lane.base, lane.base + tail_from - from,
              dim, block);
  const int n = block.entries;
  block.together = n > 0 && block.index[n - 1] == n - 1;
  for (unsigned& bits : block.at) bits = 0;
  for (int i = 0; i < n; ++i) block.at[block.offset[i] / 16] |= 1u << block.offset[i] % 16;
  int taken = 0;
  for (const unsigned bits : block.at) taken += __builtin_popcount(bits);
  block.one_each = taken == n;
  block.aligned =
      n > 0 && block.one_each && block.offset[0] % 16 == 0 && block.offset[n - 1] - block.offset[0] == n - 1;
}

// The sum of weights[0, n), 16 accumulators by position.
EVICTBENCH_INLINE float sum_by_position(const float* weights, const Block& block, int n) {
  if (block.aligned) {  // weights beyond n are 0
    V16 acc = load(weights);
    for (int i = 16; i < n; i += 16) acc = add(acc, load(weights + i));
    return fold(acc);
  }
  if (kExpands && block.one_each) {
    V16 acc = set1(0.0f);
    for (int j = 0, i = 0; i < n; i += __builtin_popcount(block.at[j++])) {
      const unsigned few = n - i < 16 ? (1u << (n - i)) - 1 : 0xffffu;  // a row may see only some of the keys
      acc = add(acc, expand(load(weights + i), block.at[j], few));
    }
    return fold(acc);
  }
  float acc[16] = {};
  for (int i = 0; i < n; ++i) acc[block.offset[i] % 16] += weights[i];
  return fold(load(acc));
}

// What weigh() does where a row sees the first n keys of a plain block, in two passes over the rows of a tile; weights in
// pairs where Product has such, and 0 from n on.
template <bool kFull>
EVICTBENCH_INLINE V16 logits_at(const float* logits, int n, int i) {
  return kFull ? load(logits + i) : load_or(logits + i, n - i, set1(-__builtin_inff()));
}
template <bool kFull>
EVICTBENCH_INLINE float top_of_plain(const float* logits, int n) {
  V16 most[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    most[i] = max(logits_at<kFull>(logits, n, 16 * i), logits_at<kFull>(logits, n, 64 + 16 * i));
  return max_of(max(max(most[0], most[1]), max(most[2], most[3])));
}
template <class Product, bool kFull>
EVICTBENCH_INLINE float weigh_plain(const float* logits, int n, float top, float* weights) {
  constexpr int kAtOnce = 4;
  V16 sum = set1(0.0f);
  for (int i = 0; i < kBlock; i += 16 * kAtOnce) {
    V16 x[kAtOnce];
#pragma GCC unroll 4
    for (int j = 0; j < kAtOnce; ++j) x[j] = sub(logits_at<kFull>(logits, n, i + 16 * j), set1(top));
#pragma GCC unroll 4
    for (int j = 0; j < kAtOnce; ++j) x[j] = exp_below(x[j]);
#pragma GCC unroll 4
    for (int j = 0; j < kAtOnce; ++j) sum = i + j == 0 ? x[j] : add(sum, x[j]);
#pragma GCC unroll 4
    for (int j = 0; j < kAtOnce; ++j)
      if constexpr (!Product::kPairs)
        store(weights + i + 16 * j, x[j]);
      else if (j % 2 != 0)
        store(weights + (i + 16 * (j - 1)) / 2, Product::words(x[j - 1], x[j]));
  }
  return fold(sum);
}

// Softmax weights of one row over the keys [gone, n) of a block: -> weights[n], 0 before `gone`, their maximum logit
// and their sum. logits: of the block's first entry on.
EVICTBENCH_INLINE void weigh(const float* logits, const Block& block, int gone, int n, float* weights,
                             float& top, float& sum) {
  if (block.together) {
    for (int i = 0; i < n; i += 16) store(weights + i, load(logits + i));
  } else {
    for (int i = 0; i < n; ++i) weights[i] = logits[block.index[i]];
  }
  for (int i = n; i % 16 != 0; ++i) weights[i] = -__builtin_inff();
  for (int i = 0; i < gone; ++i) weights[i] = -__builtin_inff();
  V16 most = load(weights);
  for (int i = 16; i < n; i += 16) most = max(most, load(weights + i));
  top = max_of(most);
  for (int i = 0; i < n; i += 16)
    store(weights + i, exp_below(sub(load(weights + i), set1(top))));  // 0 beyond n
  sum = sum_by_position(weights, block, n);
}

enum class Joins : char { kNot, kFirst, kMerged };

struct Tile {  // rows in the making
  int stride;  // of out, part and words: D up to a multiple of 16
  alignas(64) float out[kMaxRows * kMaxDim];
  alignas(64) float part[kMaxRows * kMaxDim];
  alignas(64) float weights[kMaxRows][kWeightStride];
  alignas(64) float words[kBlock / 2 * kMaxDim];  // values of a block in pairs: [pairs, stride]
  alignas(64) float max[kMostRows];
  alignas(64) float sum[kMostRows];
  // Of the current block: the keys that a row sees, and how its part joins what stands of the row.
  int count[kMaxRows];
  Joins joins[kMaxRows];
  alignas(64) float keep[kMostRows];
  alignas(64) float take[kMostRows];
};

// A stretch of the keys of a block, and which part of a row's chain over the block it is.
struct Stretch {
  int from, to;
  bool begins, ends;
};

// The part of a row over a block joins what stands of the row; a first part is taken as it is.
EVICTBENCH_INLINE void join(Tile& tile, int row, int d, V16 part) {
  float* out = tile.out + row * tile.stride + d;
  if (tile.joins[row] == Joins::kMerged)
    store(out, fma(load(out), set1(tile.keep[row]), mul(part, set1(tile.take[row]))));
  else if (tile.joins[row] == Joins::kFirst)
    store(out, part);
}

// part[r][d .. d + 16 NC) continues its chain over present keys of a block.
template <class Product, int R, int NC>
EVICTBENCH_INLINE void mix_columns(const Runs& runs, const Stretch& keys, int dim, int d, Tile& tile,
                                   int row) {
  Accumulators<R, NC> acc;
  float* part = tile.part + row * tile.stride + d;
  acc.clear();
  if (!keys.begins)
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < NC; ++c) acc.v[r][c] = load(part + r * tile.stride + 16 * c);
  for (const Run& run : runs) {
    const int first = run.from > keys.from ? run.from : keys.from, last = run.to < keys.to ? run.to : keys.to;
    if (first >= last) continue;
    const float* here = run.values + std::ptrdiff_t{first - run.from} * dim + d;
    const Ahead<(R <= kFewRows ? NC : 0)> soon{reinterpret_cast<const char*>(here + 16 * dim),
                                               dim * std::ptrdiff_t{sizeof(float)}};
    accumulate<Apart<kWeightStride>, Product>(tile.weights[row] + first, here, last - first, dim, 16, acc,
                                              soon);
  }
  // Keys that a row does not see add 0 to its pairs, which changes nothing but a -0: there is none.
  if constexpr (Product::kPairs)
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < NC; ++c) acc.v[r][c] = add(acc.v[r][c], set1(0.0f));
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < NC; ++c)
      if (keys.ends)
        join(tile, row + r, d + 16 * c, acc.v[r][c]);
      else
        store(part + r * tile.stride + 16 * c, acc.v[r][c]);
}

// The last columns where D is no multiple of 16.
template <int R>
EVICTBENCH_INLINE void mix_rest(const Runs& runs, const Stretch& keys, int dim, int d, Tile& tile, int row) {
  for (int r = row; r < row + R; ++r) {
    float* part = tile.part + r * tile.stride + d;
    V16 acc = keys.begins ? set1(0.0f) : load(part);
    for (const Run& run : runs)
      for (int k = run.from > keys.from ? run.from : keys.from; k < (run.to < keys.to ? run.to : keys.to);
           ++k)
        acc = fma(set1(tile.weights[r][k]),
                  load_n(run.values + std::ptrdiff_t{k - run.from} * dim + d, dim - d), acc);
    if (keys.ends)
      join(tile, r, d, acc);
    else
      store(part, acc);
  }
}

template <class Product, int R>
EVICTBENCH_INLINE void mix(const Runs& runs, const Stretch& keys, int dim, Tile& tile, int row) {
  constexpr int kWide = R <= kFewRows ? 2 * kColumnTile : kColumnTile;
  int d = 0;
  for (; d + 16 * kWide <= dim; d += 16 * kWide)
    mix_columns<Product, R, kWide>(runs, keys, dim, d, tile, row);
  if constexpr (kWide > kColumnTile)
    for (; d + 16 * kColumnTile <= dim; d += 16 * kColumnTile)
      mix_columns<Product, R, kColumnTile>(runs, keys, dim, d, tile, row);
  if constexpr (kColumnTile > 1)
    for (; d + 16 <= dim; d += 16) mix_columns<Product, R, 1>(runs, keys, dim, d, tile, row);
  if (d < dim) mix_rest<R>(runs, keys, dim, d, tile, row);
}

// How the rows' parts of a block, of these maxima and sums, join what stands of them.
EVICTBENCH_INLINE void weigh_parts(Tile& tile, int rows, const float* top, const float* sum) {
  alignas(64) float most[kMostRows];
  for (int r = 0; r < rows; r += 16) {
    const V16 tops = load(top + r), maxima = load(tile.max + r), both = max(tops, maxima);
    store(tile.keep + r, exp_below(sub(maxima, both)));
    store(tile.take + r, exp_below(sub(tops, both)));
    store(most + r, both);
  }
  for (int r = 0; r < rows; ++r) {
    tile.joins[r] = tile.count[r] == 0 ? Joins::kNot : tile.sum[r] == 0 ? Joins::kFirst : Joins::kMerged;
    if (tile.joins[r] == Joins::kNot) continue;
    const bool first = tile.joins[r] == Joins::kFirst;
    tile.max[r] = first ? top[r] : most[r];
    tile.sum[r] = first ? sum[r] : __builtin_fmaf(tile.sum[r], tile.keep[r], sum[r] * tile.take[r]);
  }
}

// Values of a block in pairs -> words [pairs, D up to a multiple of 16]; an odd one is paired with nothing.
template <class Product>
EVICTBENCH_INLINE void pair_values_of(const Runs& runs, int entries, int dim, float* words) {
  const float* even = nullptr;
  const auto put = [&](const float* odd) EVICTBENCH_LAMBDA {
    for (int d = 0; d < dim; d += 16, words += 16) {
      const int n = dim - d < 16 ? dim - d : 16;
      store(words, Product::across(load_n(even + d, n), odd ? load_n(odd + d, n) : set1(0.0f)));
    }
  };
  for (const Run& run : runs) {
    const float* value = run.values;
    for (int e = run.from; e < run.to; ++e, value += dim) {
      if (e % 2 == 0)
        even = value;
      else
        put(value);
    }
  }
  if (entries % 2 != 0) put(nullptr);
}

// Weights [0, n) of a row in pairs, 0 after n, in their own place.
template <class Product>
EVICTBENCH_INLINE void pair_weights(float* weights, int n) {
  for (int i = (n + 15) / 16 * 16; i < kBlock; i += 16) store(weights + i, set1(0.0f));
  for (int i = 0; i < kBlock; i += 32)
    store(weights + i / 2, Product::words(load(weights + i), load(weights + i + 16)));
}

// The parts of all rows, each over the keys that it sees, join what stands of them.
template <class Product>
EVICTBENCH_INLINE void mix_rows(int rows, const Block& block, const float* value_words, int dim, Tile& tile) {
  const Strips strips(rows);
  const Runs runs{block.run, block.run + block.runs};
  const float* words = tile.words;
  if constexpr (Product::kPairs) {
    if (block.plain && value_words)
      words = value_words + std::ptrdiff_t{block.first / 2} * tile.stride;
    else
      pair_values_of<Product>(runs, block.entries, dim, tile.words);
  }
  for (int s = 0; s < strips.count; ++s) {
    const int row = strips.begin(s), end = strips.begin(s + 1);
    if constexpr (Product::kPairs) {  // what a row does not see has weight 0
      const Run all{words, 0, (block.entries + 1) / 2};
      with_rows<kRowTile>(end - row, [&]<int R>() {
        mix<Product, R>({&all, &all + 1}, {0, all.to, true, true}, tile.stride, tile, row);
      });
    } else {
      int common = block.entries, most = 0;
      for (int r = row; r < end; ++r) {
        common = tile.count[r] < common ? tile.count[r] : common;
        most = tile.count[r] > most ? tile.count[r] : most;
      }
      with_rows<kRowTile>(end - row, [&]<int R>() {
        mix<Product, R>(runs, {0, common, true, most == common}, dim, tile, row);
      });
      for (int r = row; most > common && r < end; ++r)
        mix<Product, 1>(runs, {common, tile.count[r], false, true}, dim, tile, r);
    }
  }
}

// Present keys of a block that stand before an entry of the lane.
EVICTBENCH_INLINE int entries_below(const Block& block, int entry) {
  const int most = entry - block.first;
  if (block.together) return most < 0 ? 0 : most < block.entries ? most : block.entries;
  int n = block.entries;
  while (n > 0 && block.index[n - 1] >= most) --n;
  return n;
}

// logits: of the block's first entry on.
template <class Product>
void attend_block(const AttendRows& rows, const Block& block, int dim, const float* logits,
                  std::ptrdiff_t stride, const float* value_words, Tile& tile) {
  alignas(64) float top[kMostRows] = {};
  float sum[kMaxRows];
  int gone[kMaxRows];  // keys before a row's window
  const auto is_plain = [&](int r) { return block.plain && gone[r] == 0 && tile.count[r] > 0; };
  for (int r = 0; r < rows.rows; ++r) {
    const int n = entries_below(block, rows.seen[r]);
    gone[r] = entries_below(block, rows.from[r]);
    tile.count[r] = gone[r] < n ? n : 0;
    if (!is_plain(r)) continue;
    const float* row = logits + r * stride;
    top[r] = n == kBlock ? top_of_plain<true>(row, n) : top_of_plain<false>(row, n);
  }
  for (int r = 0; r < rows.rows; ++r) {
    const int n = tile.count[r];
    const float* row = logits + r * stride;
    float* weights = tile.weights[r];
    if (is_plain(r)) {
      sum[r] = n == kBlock ? weigh_plain<Product, true>(row, n, top[r], weights)
                           : weigh_plain<Product, false>(row, n, top[r], weights);
      continue;
    }
    if (n > 0) weigh(row, block, gone[r], n, weights, top[r], sum[r]);
    if constexpr (Product::kPairs) pair_weights<Product>(weights, n);
  }
  weigh_parts(tile, rows.rows, top, sum);
  mix_rows<Product>(rows.rows, block, value_words, dim, tile);
}

// The logits of entries [from, to) of a lane, cap and bias included; entry e of row r -> logits[r * stride + e - origin].
template <class Product>
int score_entries(const AttendLane& lane, const AttendRows& rows, const float* strips_of_q, int dim, int from,
                  int to, float* logits, std::ptrdiff_t stride) {
  const V16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(dim)));
  const int origin = from < lane.base ? from & ~15 : lane.base + ((from - lane.base) & ~15);
  const int base_end = to < lane.base ? to : lane.base;
  if (origin < base_end)
    score_panels<Product>(
        strips_of_q, rows.rows, dim, lane.base_keys + std::ptrdiff_t{origin} * dim,
        lane.key_words ? lane.key_words + std::ptrdiff_t{origin} * ((dim + 1) / 2) : nullptr,
        (base_end - origin + 15) / 16, scale, logits, stride);
  if (to > lane.base) {
    const int first = origin < lane.base ? 0 : origin - lane.base;
    score_panels<Product>(strips_of_q, rows.rows, dim, lane.tail_keys + std::ptrdiff_t{first} * dim, nullptr,
                          (to - lane.base - first + 15) / 16, scale, logits + lane.base + first - origin,
                          stride);
  }
  if (lane.softcap > 0)
    for (int r = 0; r < rows.rows; ++r)
      for (int e = 0; e < to - origin; e += 16)
        store(logits + r * stride + e, capped(load(logits + r * stride + e), lane.softcap));
  if (lane.base_bias)
    for (int r = 0; r < rows.rows; ++r)
      for (int e = origin; e < base_end; ++e) logits[r * stride + e - origin] += lane.base_bias[e];
  return origin;
}

// The attention that a row paid to each present key, in order.
void write_probabilities(const AttendLane& lane, const float* logits, int from, int seen, float log_sum,
                         float* out) {
  for (int e = 0; e < lane.base + lane.tail; ++e) {
    if (e < lane.base && lane.present && !(lane.present[e / 64] >> (e % 64) & 1u)) continue;
    *out++ = e >= from && e < seen ? numerics::exp(logits[e] - log_sum) : 0.0f;
  }
}

template <class Product>
void attend_of(const AttendLane& lane, const AttendRows& rows, int dim, float* scratch) {
  const bool all = rows.probabilities != nullptr;  // then the logits of the whole lane are wanted at the end
  const std::ptrdiff_t stride = attend_stride(lane.base + lane.tail, all);
  float* logits = scratch;  // [rows, stride]
  float* packed =
      scratch + std::ptrdiff_t{kMaxRows} * stride;  // [rows, D or its pairs] row by row, then in strips
  float* strips_of_q = packed + std::ptrdiff_t{kMaxRows} * dim;
  const int depth = Product::kPairs ? (dim + 1) / 2 : dim;
  int least = lane.base + lane.tail, most = 0;
  for (int r = 0; r < rows.rows; ++r) {
    if (rows.from[r] < least) least = rows.from[r];
    if constexpr (Product::kPairs)
      Product::pair_row(rows.queries[r], dim, packed + r * depth);
    else
      for (int d = 0; d < dim; ++d) packed[r * dim + d] = rows.queries[r][d];
    if (rows.seen[r] > most) most = rows.seen[r];
  }
  pack_rows(packed, depth, rows.rows, depth, strips_of_q);
  static thread_local Tile tile;
  static thread_local Block block;
  tile.stride = (dim + 15) / 16 * 16;
  for (float& x : tile.max) x = 0;
  for (float& x : tile.sum) x = 0;
  int b = 0, from = 0;
  while (!all && lane.block_ends[b] <= least) from = lane.block_ends[b++];  // before any row's window
  // Blocks in spans whose logits fit a near cache.
  while (b < lane.blocks && from < most) {
    int last = b, to = lane.block_ends[b];
    while (last + 1 < lane.blocks && (all || lane.block_ends[last + 1] - from <= kAttendSpan))
      to = lane.block_ends[++last];
    const int origin =
        score_entries<Product>(lane, rows, strips_of_q, dim, from, to < most ? to : most, logits, stride);
    for (; b <= last && from < most; from = lane.block_ends[b++]) {
      collect(lane, from, lane.block_ends[b] < most ? lane.block_ends[b] : most, dim, block);
      if (block.entries > 0)
        attend_block<Product>(rows, block, dim, logits + from - origin, stride, lane.value_words, tile);
    }
  }
  for (int r = 0; r < rows.rows; ++r) {
    const V16 total = set1(tile.sum[r]);
    for (int d = 0; d < dim; d += 16)
      store_n(rows.out[r] + d, div(load(tile.out + r * tile.stride + d), total), dim - d < 16 ? dim - d : 16);
    const float log_sum = tile.max[r] + numerics::log(tile.sum[r]);
    *rows.log_sums[r] = log_sum;
    if (all)
      write_probabilities(lane, logits + r * stride, rows.from[r], rows.seen[r], log_sum,
                          rows.probabilities[r]);
  }
}

void attend(const AttendLane& lane, const AttendRows& rows, int dim, float* scratch) {
  attend_of<F32Weights>(lane, rows, dim, scratch);
}
#if defined(__AVX512BF16__)
void pair_keys(const float* keys, int panels, int dim, float* words) {
  pair_keys_of<PairWeights>(keys, panels, dim, words);
}
void pair_values(const float* values, int entries, int dim, float* words) {
  const Run all{values, 0, entries};
  pair_values_of<PairWeights>({&all, &all + 1}, entries, dim, words);
}
void attend_pairs(const AttendLane& lane, const AttendRows& rows, int dim, float* scratch) {
  attend_of<PairWeights>(lane, rows, dim, scratch);
}
#endif
