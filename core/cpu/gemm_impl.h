// Products of rows with panels of weights, keys or values. Included by core/cpu/kernels_impl.h alone, inside its namespace.
//
// All of them are one loop, accumulate(): R rows against NC vectors of 16 columns, every output one chain of fused
// multiply-adds over ascending depth. A chain may be put down and taken up again, which changes no bit.

// How weights lie, and how one step of a chain meets them: acc + x w, one rounding.
template <class Element>
struct WeightsOf {
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
#if defined(__AVX512BF16__)
// Pairs of bf16 in words, of x as of w: a step takes two elements of depth (numerics::dot_bf16).
struct PairWeights : F32Weights {
  EVICTBENCH_INLINE static V16 step(V16 x, V16 w, V16 acc) {
    return {_mm512_dpbf16_ps(acc.v, reinterpret_cast<__m512bh>(x.v), reinterpret_cast<__m512bh>(w.v))};
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
  std::ptrdiff_t step = 0, spread = 64;
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

void pack_rows(const float* x, std::ptrdiff_t x_stride, int rows, int depth, float* out) {
  const Strips strips(rows);
  for (int s = 0; s < strips.count; ++s) {
    const float* from = x + strips.begin(s) * x_stride;
    float* to = out + std::ptrdiff_t{strips.begin(s)} * depth;
    with_rows<kRowTile>(strips.begin(s + 1) - strips.begin(s), [&]<int R>() {
      for (int k = 0; k < depth; ++k)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) to[k * R + r] = from[r * x_stride + k];
    });
  }
}

// One strip against one panel of weights [depth, 32]: y[R, outputs] is begun, or `more` of its chain is added.
template <int R, class Weights, int Lines>
void strip_panel(const float* strip, const void* w, int depth, int outputs, bool more, float* y,
                 std::ptrdiff_t y_stride, const Ahead<Lines>& ahead) {
  for (int first = 0; first < outputs; first += 16 * kColumnTile) {
    Accumulators<R, kColumnTile> acc;
    const auto each = [&](const auto& whole, const auto& part) EVICTBENCH_LAMBDA {
      for (int r = 0; r < R; ++r)
        for (int c = 0; c < kColumnTile; ++c) {
          const int left = outputs - first - 16 * c;
          float* at = y + r * y_stride + first + 16 * c;
          if (left >= 16)
            whole(at, acc.v[r][c]);
          else if (left > 0)
            part(at, acc.v[r][c], left);
        }
    };
    acc.clear();
    if (more)
      each([](const float* p, V16& v) EVICTBENCH_LAMBDA { v = load(p); },
           [](const float* p, V16& v, int n) EVICTBENCH_LAMBDA { v = load_n(p, n); });
    accumulate<Strip<R>, Weights>(strip, Weights::from(w, first), depth, kWeightPanel, 16, acc, ahead);
    each([](float* p, const V16& v) EVICTBENCH_LAMBDA { store(p, v); },
         [](float* p, const V16& v, int n) EVICTBENCH_LAMBDA { store_n(p, v, n); });
  }
}

void widen_panel(const std::uint16_t* from, int depth, float* to) {
  for (int i = 0; i < depth * kWeightPanel; i += 16) store(to + i, load_bf16(from + i));
}

constexpr int kSoon = 1024;  // bytes of weights asked for ahead of their use

// Depth goes in pieces that a core's nearest cache holds. Bf16 panels that several strips meet are widened once for all.
template <class Weights>
void gemm_of(const float* strips_of_x, int rows, const void* w, int depth, int outputs, float* y,
             std::ptrdiff_t y_stride, float* scratch) {
  constexpr std::ptrdiff_t kStep = kWeightPanel * Weights::kSize;  // bytes of a panel at one depth
  const Strips strips(rows);
  const bool widen = Weights::kSize == 2 && strips.count > 1;
  for (int k = 0; k < depth; k += kDepthPiece) {
    const int piece = depth - k < kDepthPiece ? depth - k : kDepthPiece;
    const auto panel_at = [&](int first) EVICTBENCH_LAMBDA {
      return static_cast<const char*>(w) + (std::ptrdiff_t{first / kWeightPanel} * depth + k) * kStep;
    };
    for (int first = 0; widen && first < outputs; first += kWeightPanel)
      widen_panel(reinterpret_cast<const std::uint16_t*>(panel_at(first)), piece,
                  scratch + first * kDepthPiece);
    for (int s = 0; s < strips.count; ++s) {
      const int row = strips.begin(s), count = strips.begin(s + 1) - row;
      const float* strip = strips_of_x + std::ptrdiff_t{row} * depth + std::ptrdiff_t{k} * count;
      with_rows<kRowTile>(count, [&]<int R>() {
        for (int first = 0; first < outputs; first += kWeightPanel) {
          const int mine = outputs - first < kWeightPanel ? outputs - first : kWeightPanel;
          float* to = y + row * y_stride + first;
          const char* here = panel_at(first);
          const float* wide = scratch + first * kDepthPiece;
          if (!widen) {
            const Ahead<Weights::kSize / 2> soon{here + kSoon, kStep};
            strip_panel<R, Weights>(strip, here, piece, mine, k > 0, to, y_stride, soon);
          } else if (s ==
                     0) {  // while the first strip is worked on, the next piece of the panel comes nearer
            const Ahead<1> next{here + piece * kStep, kStep};
            strip_panel<R, F32Weights>(strip, wide, piece, mine, k > 0, to, y_stride, next);
          } else {
            strip_panel<R, F32Weights>(strip, wide, piece, mine, k > 0, to, y_stride, Ahead<0>{});
          }
        }
      });
    }
  }
}

void gemm(const float* strips_of_x, int rows, const void* w, bool bf16, int depth, int outputs, float* y,
          std::ptrdiff_t y_stride, float* scratch) {
  if (bf16)
    gemm_of<Bf16Weights>(strips_of_x, rows, w, depth, outputs, y, y_stride, scratch);
  else
    gemm_of<F32Weights>(strips_of_x, rows, w, depth, outputs, y, y_stride, scratch);
}

#if defined(__AVX512BF16__)
void pair_rows(const float* x, int rows, int depth, float* out) {
  const int pairs = (depth + 1) / 2;
  for (int r = 0; r < rows; ++r, x += depth, out += pairs)
    for (int k = 0; k < depth; k += 32) {
      const int left = depth - k, words = left < 32 ? (left + 1) / 2 : 16;
      const V16 low = left >= 16 ? load(x + k) : load_n(x + k, left);
      const V16 high = left >= 32 ? load(x + k + 16) : load_n(x + k + 16, left > 16 ? left - 16 : 0);
      const V16 both{reinterpret_cast<__m512>(_mm512_cvtne2ps_pbh(high.v, low.v))};
      store_n(out + k / 2, both, words);
    }
}

void gemm_pairs(const float* strips_of_x, int rows, const void* w, int pairs, int outputs, float* y,
                std::ptrdiff_t y_stride) {
  gemm_of<PairWeights>(strips_of_x, rows, w, pairs, outputs, y, y_stride, nullptr);
}
#endif
