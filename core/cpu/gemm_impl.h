// Products of rows with panels of weights, keys or values. Included by core/cpu/kernels_impl.h alone, inside its namespace.
//
// All of them are one loop, accumulate(): R rows against NC vectors of 16 columns, every output one chain of fused
// multiply-adds over ascending depth. A chain may be put down and taken up again, which changes no bit.

// How weights lie, and how one step of a chain meets them: acc + x w, one rounding.
template <class Element>
struct WeightsOf {
  static constexpr bool kPairs = false;
  EVICTBENCH_INLINE static const void* from(const void* w, std::ptrdiff_t i) {
    return static_cast<const Element*>(w) + i;
  }
  EVICTBENCH_INLINE static V16 step(V16 x, V16 w, V16 acc) { return fma(x, w, acc); }
  static constexpr std::ptrdiff_t kSize = sizeof(Element);
};
struct F32Weights : WeightsOf<float> {
  EVICTBENCH_INLINE static V16 at(const void* w, std::ptrdiff_t i) {
    return load(static_cast<const float*>(w) + i);
  }
};
struct Bf16Weights : WeightsOf<std::uint16_t> {
  EVICTBENCH_INLINE static V16 at(const void* w, std::ptrdiff_t i) {
    return load_bf16(static_cast<const std::uint16_t*>(w) + i);
  }
};
struct F16Weights : WeightsOf<std::uint16_t> {
  EVICTBENCH_INLINE static V16 at(const void* w, std::ptrdiff_t i) {
    return load_f16(static_cast<const std::uint16_t*>(w) + i);
  }
};
#if defined(__AVX512BF16__)
// Pairs of bf16 in words, of x as of w: a step takes two elements of depth (numerics::dot_bf16).
struct PairWeights : F32Weights {
  static constexpr bool kPairs = true;
  EVICTBENCH_INLINE static V16 step(V16 x, V16 w, V16 acc) {
    return {_mm512_dpbf16_ps(acc.v, reinterpret_cast<__m512bh>(x.v), reinterpret_cast<__m512bh>(w.v))};
  }
  // The words of 32 numbers in a row: [0, 1], [2, 3], ...
  EVICTBENCH_INLINE static V16 words(V16 first, V16 second) {
    return {reinterpret_cast<__m512>(_mm512_cvtne2ps_pbh(second.v, first.v))};
  }
  // A row's numbers, an odd last one paired with 0 -> out [(depth + 1) / 2]
  EVICTBENCH_INLINE static void pair_row(const float* x, int depth, float* out) {
    for (int k = 0; k < depth; k += 32) {
      const int left = depth - k;
      const V16 first = left >= 16 ? load(x + k) : load_n(x + k, left);
      const V16 second = left >= 32 ? load(x + k + 16) : load_n(x + k + 16, left > 16 ? left - 16 : 0);
      store_n(out + k / 2, words(first, second), left < 32 ? (left + 1) / 2 : 16);
    }
  }
  // Words of one number from each of two rows.
  EVICTBENCH_INLINE static V16 across(V16 even, V16 odd) {
    alignas(64) static constexpr std::uint16_t kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd.v, even.v));
    return {_mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both))};
  }
};
#endif

// Where element k of row r lies: a strip holds its rows depth by depth, [depth, R].
template <int R>
struct Strip {
  EVICTBENCH_INLINE static std::ptrdiff_t at(int r, std::ptrdiff_t k) { return k * R + r; }
};
template <int Stride>
struct Apart {
  EVICTBENCH_INLINE static std::ptrdiff_t at(int r, std::ptrdiff_t k) {
    return std::ptrdiff_t{r} * Stride + k;
  }
};

template <int R, int NC>
struct Accumulators {
  V16 v[R][NC];

  EVICTBENCH_INLINE void clear() {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < NC; ++c) v[r][c] = set1(0.0f);
  }
};

// What will be read next, asked for in good time: Lines lines `spread` bytes apart, moved on by `step` bytes with every k.
// The hardware's own prefetching ends at every page.
template <int Lines>
struct Ahead {
  const char* at = nullptr;
  std::ptrdiff_t step = 64, spread = 64;
  EVICTBENCH_INLINE void fetch(int k) const {
    for (int i = 0; i < Lines; ++i) __builtin_prefetch(at + k * step + i * spread);
  }
};

// acc[r][c] continues its chain over k in [0, depth): step(x[r][k], w[k * stride + c * spread .. + 16], acc).
template <class Rows, class Weights, int R, int NC, int Lines = 0>
EVICTBENCH_INLINE void accumulate(const float* x, const void* w, int depth, std::ptrdiff_t stride,
                                  std::ptrdiff_t spread, Accumulators<R, NC>& acc,
                                  const Ahead<Lines>& ahead = {}) {
  Accumulators<R, NC> mine = acc;  // a copy that nobody else can see stays in registers
  for (int k = 0; k < depth; ++k) {
    ahead.fetch(k);
    V16 column[NC];
    for (int c = 0; c < NC; ++c) column[c] = Weights::at(w, k * stride + c * spread);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const V16 value = set1(x[Rows::at(r, k)]);
      for (int c = 0; c < NC; ++c) mine.v[r][c] = Weights::step(value, column[c], mine.v[r][c]);
    }
  }
  acc = mine;
}

// Calls body.template operator()<R>() with R = rows, which is at most Most.
template <int Most, class Body>
EVICTBENCH_INLINE void with_rows(int rows, const Body& body) {
  if constexpr (Most > 0) {
    if (rows == Most)
      body.template operator()<Most>();
    else
      with_rows<Most - 1>(rows, body);
  }
}

// `rows` rows are cut into as few strips as can be, as equal as can be.
struct Strips {
  int rows, count;
  EVICTBENCH_INLINE explicit Strips(int all) : rows(all), count((all + kRowTile - 1) / kRowTile) {}
  EVICTBENCH_INLINE int begin(int s) const {
    const int rest = rows % count;
    return s * (rows / count) + (s < rest ? s : rest);
  }
};

// R rows -> a strip [depth, R]
template <int R>
EVICTBENCH_INLINE void fill_strip(const float* rows, std::ptrdiff_t stride, int depth, float* strip) {
  const auto turn = [&](int r, int from, int to) EVICTBENCH_LAMBDA {
    for (int k = from; k < to; ++k) strip[std::ptrdiff_t{k} * R + r] = rows[r * stride + k];
  };
  int k = 0;
  for (; k + 4 <= depth; k += 4) {
    for (int r = 0; r + 4 <= R; r += 4)
      turn_4x4(rows + r * stride + k, stride, strip + std::ptrdiff_t{k} * R + r, R);
    for (int r = R / 4 * 4; r < R; ++r) turn(r, k, k + 4);
  }
  for (int r = 0; r < R; ++r) turn(r, k, depth);
}

void pack_rows(const float* x, std::ptrdiff_t x_stride, int rows, int depth, float* out) {
  const Strips strips(rows);
  for (int s = 0; s < strips.count; ++s) {
    const int row = strips.begin(s);
    with_rows<kRowTile>(strips.begin(s + 1) - row, [&]<int R>() {
      fill_strip<R>(x + row * x_stride, x_stride, depth, out + std::ptrdiff_t{row} * depth);
    });
  }
}

constexpr int kTileColumns = 16 * kColumnTile;  // outputs of a register tile

// How one piece of a panel lies, `depth` deep: as it is stored, [depth, 32], or in the columns of a register tile, one
// after the other, [32 / kTileColumns, depth, kTileColumns].
struct AsStored {
  static constexpr int kStride = kWeightPanel;
  EVICTBENCH_INLINE static std::ptrdiff_t column(int first, int) { return first; }
};
struct ByTile {
  static constexpr int kStride = kTileColumns;
  EVICTBENCH_INLINE static std::ptrdiff_t column(int first, int depth) {
    return std::ptrdiff_t{first} * depth;
  }
};

// One strip against one piece of a panel: y[R, outputs] is begun, or `more` of its chain is added.
template <int R, class Weights, class Layout, int Lines>
void strip_panel(const float* strip, const void* w, int depth, int outputs, bool more, float* y,
                 std::ptrdiff_t y_stride, const Ahead<Lines>& ahead) {
  for (int first = 0; first < outputs; first += kTileColumns, y += kTileColumns) {
    const void* columns = Weights::from(w, Layout::column(first, depth));
    Accumulators<R, kColumnTile> acc;
    acc.clear();
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)  // rows of y lie far apart: what is written there at last is asked for now
      for (int c = 0; c < kColumnTile; ++c) __builtin_prefetch(y + r * y_stride + 16 * c, 1);
    if (outputs - first >= kTileColumns) {
      if (more)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
          for (int c = 0; c < kColumnTile; ++c) acc.v[r][c] = load(y + r * y_stride + 16 * c);
      accumulate<Strip<R>, Weights>(strip, columns, depth, Layout::kStride, 16, acc, ahead);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
        for (int c = 0; c < kColumnTile; ++c) store(y + r * y_stride + 16 * c, acc.v[r][c]);
    } else {  // the last outputs
      const auto each = [&](const auto& part) EVICTBENCH_LAMBDA {
        for (int r = 0; r < R; ++r)
          for (int c = 0; c < kColumnTile; ++c)
            if (const int left = outputs - first - 16 * c; left > 0)
              part(y + r * y_stride + 16 * c, acc.v[r][c], left < 16 ? left : 16);
      };
      if (more) each([](const float* p, V16& v, int n) EVICTBENCH_LAMBDA { v = load_n(p, n); });
      accumulate<Strip<R>, Weights>(strip, columns, depth, Layout::kStride, 16, acc, ahead);
      each([](float* p, const V16& v, int n) EVICTBENCH_LAMBDA { store_n(p, v, n); });
    }
  }
}

// -> ByTile
template <class Weights>
void widen_panel(const void* from, int depth, float* to) {
  for (int first = 0; first < kWeightPanel; first += kTileColumns)
    for (int k = 0; k < depth; ++k, to += kTileColumns)
      for (int c = 0; c < kTileColumns; c += 16)
        store(to + c, Weights::at(from, k * kWeightPanel + first + c));
}

constexpr int kSoon = 1024;  // bytes of weights asked for ahead of their use

// Panel by panel, and depth in pieces that a core's own caches hold. A piece of two-byte weights that several
// strips meet is widened once for all. The pieces of all panels lie in one row: while the first strips meet one, the next comes nearer.
template <class Weights>
void gemm_of(const float* strips_of_x, int rows, const void* w, int depth, int outputs, float* y,
             std::ptrdiff_t y_stride, float* scratch) {
  constexpr std::ptrdiff_t kStep = kWeightPanel * Weights::kSize;  // bytes of a panel at one depth
  constexpr int kLines = kStep / 64;
  constexpr bool kHalf = Weights::kSize == 2;
  using Met = std::conditional_t<kHalf, F32Weights, Weights>;
  using Layout = std::conditional_t<kHalf, ByTile, AsStored>;
  const Strips strips(rows);
  const char* here = static_cast<const char*>(w);
  for (int first = 0; first < outputs; first += kWeightPanel) {
    const int mine = outputs - first < kWeightPanel ? outputs - first : kWeightPanel;
    for (int k = 0; k < depth; k += kDepthPiece) {
      const int piece = depth - k < kDepthPiece ? depth - k : kDepthPiece;
      const char* next = here + piece * kStep;
      const bool widen = kHalf && strips.count > 1;
      if (widen) widen_panel<Weights>(here, piece, scratch);
      const void* panel = widen ? static_cast<const void*>(scratch) : here;
      for (int s = 0; s < strips.count; ++s) {
        const int row = strips.begin(s), count = strips.begin(s + 1) - row;
        const float* strip = strips_of_x + std::ptrdiff_t{row} * depth + std::ptrdiff_t{k} * count;
        float* to = y + row * y_stride + first;
        with_rows<kRowTile>(count, [&]<int R>() {
          if (strips.count == 1)
            strip_panel<R, Weights, AsStored>(strip, here, piece, mine, k > 0, to, y_stride,
                                              Ahead<kLines>{here + kSoon, kStep});
          else if (s < kLines)
            strip_panel<R, Met, Layout>(strip, panel, piece, mine, k > 0, to, y_stride,
                                        Ahead<1>{next + std::ptrdiff_t{s} * piece * 64});
          else
            strip_panel<R, Met, Layout>(strip, panel, piece, mine, k > 0, to, y_stride, Ahead<0>{});
        });
      }
      here = next;
    }
  }
}

void gemm(const float* strips_of_x, int rows, const void* w, DType dtype, int depth, int outputs, float* y,
          std::ptrdiff_t y_stride, float* scratch) {
  if (dtype == DType::kBF16)
    gemm_of<Bf16Weights>(strips_of_x, rows, w, depth, outputs, y, y_stride, scratch);
  else if (dtype == DType::kF16)
    gemm_of<F16Weights>(strips_of_x, rows, w, depth, outputs, y, y_stride, scratch);
  else
    gemm_of<F32Weights>(strips_of_x, rows, w, depth, outputs, y, y_stride, scratch);
}

#if defined(__AVX512BF16__)
void pack_pairs(const float* x, int rows, int depth, float* out) {
  constexpr int kAtOnce = 64;
  const int pairs = (depth + 1) / 2;
  const Strips strips(rows);
  for (int s = 0; s < strips.count; ++s) {
    const int row = strips.begin(s);
    const float* from = x + std::ptrdiff_t{row} * depth;
    float* strip = out + std::ptrdiff_t{row} * pairs;
    with_rows<kRowTile>(strips.begin(s + 1) - row, [&]<int R>() {
      alignas(64) float words[R * kAtOnce];
      for (int k = 0; k < pairs; k += kAtOnce) {
        const int left = depth - 2 * k, n = left < 2 * kAtOnce ? left : 2 * kAtOnce;
        for (int r = 0; r < R; ++r)
          PairWeights::pair_row(from + std::ptrdiff_t{r} * depth + 2 * k, n, words + r * kAtOnce);
        fill_strip<R>(words, kAtOnce, (n + 1) / 2, strip + std::ptrdiff_t{k} * R);
      }
    });
  }
}

void gemm_pairs(const float* strips_of_x, int rows, const void* w, int pairs, int outputs, float* y,
                std::ptrdiff_t y_stride) {
  gemm_of<PairWeights>(strips_of_x, rows, w, pairs, outputs, y, y_stride, nullptr);
}
#endif
