// Sixteen floats at a time, for the instruction path that the including file is compiled for. Included by
// core/cpu/kernels_impl.h alone, inside its own namespace; every function is inlined, so that no code of one path
// can be linked into another.
#define EVICTBENCH_INLINE [[gnu::always_inline]] inline
#define EVICTBENCH_LAMBDA __attribute__((always_inline))

#if defined(__AVX512F__)

struct V16 {
  __m512 v;
};
EVICTBENCH_INLINE V16 set1(float x) { return {_mm512_set1_ps(x)}; }
EVICTBENCH_INLINE V16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
EVICTBENCH_INLINE V16 load_n(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p)};
}
// Lanes [0, n) from memory, whatever n is, the rest from `other`.
EVICTBENCH_INLINE V16 load_or(const float* p, int n, V16 other) {
  const unsigned lanes = n <= 0 ? 0 : n >= 16 ? 0xffffu : (1u << n) - 1u;
  return {_mm512_mask_loadu_ps(other.v, static_cast<__mmask16>(lanes), p)};
}
EVICTBENCH_INLINE V16 load_bf16(const std::uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
EVICTBENCH_INLINE V16 load_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
EVICTBENCH_INLINE void store(float* p, V16 a) { _mm512_storeu_ps(p, a.v); }
EVICTBENCH_INLINE void store_n(float* p, V16 a, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), a.v);
}
EVICTBENCH_INLINE V16 fma(V16 a, V16 b, V16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
EVICTBENCH_INLINE V16 add(V16 a, V16 b) { return {_mm512_add_ps(a.v, b.v)}; }
EVICTBENCH_INLINE V16 sub(V16 a, V16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
EVICTBENCH_INLINE V16 mul(V16 a, V16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
EVICTBENCH_INLINE V16 div(V16 a, V16 b) { return {_mm512_div_ps(a.v, b.v)}; }
EVICTBENCH_INLINE V16 max(V16 a, V16 b) { return {_mm512_max_ps(a.v, b.v)}; }
EVICTBENCH_INLINE V16 where_less(V16 x, V16 limit, V16 yes, V16 no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_LT_OQ), no.v, yes.v)};
}
// x 2^n, or 0 where `of` is below `limit`; the low mantissa bits of `shifted` are n too.
EVICTBENCH_INLINE V16 times_power_of_two(V16 x, V16 n, V16, V16 of, V16 limit) {
  return {_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(of.v, limit.v, _CMP_NLT_UQ), x.v, n.v)};
}
EVICTBENCH_INLINE V16 mantissa_of(V16 x, V16& exponent) {
  const __m512i bits = _mm512_castps_si512(x.v);
  const __m512i n = _mm512_srai_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(numerics::kSqrtHalfBits)), 23);
  exponent = {_mm512_cvtepi32_ps(n)};
  return {_mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(n, 23)))};
}
// The first lanes of a, one after the other, to the lanes of `at`; of these only as many as `few` has bits. 0 elsewhere.
EVICTBENCH_INLINE V16 expand(V16 a, unsigned at, unsigned few) {
  return {_mm512_maskz_expand_ps(static_cast<__mmask16>(at),
                                 _mm512_maskz_mov_ps(static_cast<__mmask16>(few), a.v))};
}
constexpr bool kExpands = true;
constexpr int kRowTile = 12;  // rows of a register tile of 2 x 16 columns: 24 accumulators
constexpr int kColumnTile = 2;

#elif defined(__AVX2__)

struct V16 {
  __m256 lo, hi;
};
EVICTBENCH_INLINE V16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
EVICTBENCH_INLINE V16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
EVICTBENCH_INLINE __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
EVICTBENCH_INLINE V16 load_n(const float* p, int n) {
  return {_mm256_maskload_ps(p, first_lanes(n)), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
EVICTBENCH_INLINE V16 load_or(const float* p, int n, V16 other) {
  const __m256i lo = first_lanes(n), hi = first_lanes(n - 8);
  return {_mm256_blendv_ps(other.lo, _mm256_maskload_ps(p, lo), _mm256_castsi256_ps(lo)),
          _mm256_blendv_ps(other.hi, _mm256_maskload_ps(p + 8, hi), _mm256_castsi256_ps(hi))};
}
EVICTBENCH_INLINE __m256 widen(__m128i half) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
EVICTBENCH_INLINE V16 load_bf16(const std::uint16_t* p) {
  return {widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
EVICTBENCH_INLINE V16 load_f16(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
EVICTBENCH_INLINE void store(float* p, V16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
EVICTBENCH_INLINE void store_n(float* p, V16 a, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), a.lo);
  _mm256_maskstore_ps(p + 8, first_lanes(n - 8), a.hi);
}
EVICTBENCH_INLINE V16 fma(V16 a, V16 b, V16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
EVICTBENCH_INLINE V16 add(V16 a, V16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
EVICTBENCH_INLINE V16 sub(V16 a, V16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
EVICTBENCH_INLINE V16 mul(V16 a, V16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
EVICTBENCH_INLINE V16 div(V16 a, V16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
EVICTBENCH_INLINE V16 max(V16 a, V16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
EVICTBENCH_INLINE V16 where_less(V16 x, V16 limit, V16 yes, V16 no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(x.lo, limit.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(x.hi, limit.hi, _CMP_LT_OQ))};
}
EVICTBENCH_INLINE __m256 power_of_two(__m256 shifted) {
  const __m256i power = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(power, 23));
}
EVICTBENCH_INLINE V16 times_power_of_two(V16 x, V16, V16 shifted, V16 of, V16 limit) {
  return where_less(
      of, limit, set1(0.0f),
      {_mm256_mul_ps(x.lo, power_of_two(shifted.lo)), _mm256_mul_ps(x.hi, power_of_two(shifted.hi))});
}
EVICTBENCH_INLINE __m256 mantissa_of(__m256 x, __m256& exponent) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i n = _mm256_srai_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(numerics::kSqrtHalfBits)), 23);
  exponent = _mm256_cvtepi32_ps(n);
  return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(n, 23)));
}
EVICTBENCH_INLINE V16 mantissa_of(V16 x, V16& exponent) {
  return {mantissa_of(x.lo, exponent.lo), mantissa_of(x.hi, exponent.hi)};
}
constexpr int kRowTile = 6;  // 6 x 16 columns: 12 accumulators of 8
constexpr int kColumnTile = 1;

#else

struct V16 {
  float v[16];
};
template <class F>
EVICTBENCH_INLINE V16 lanes(F f) {
  V16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}
EVICTBENCH_INLINE V16 set1(float x) {
  return lanes([&](int) { return x; });
}
EVICTBENCH_INLINE V16 load(const float* p) {
  return lanes([&](int i) { return p[i]; });
}
EVICTBENCH_INLINE V16 load_n(const float* p, int n) {
  return lanes([&](int i) { return i < n ? p[i] : 0.0f; });
}
EVICTBENCH_INLINE V16 load_or(const float* p, int n, V16 other) {
  return lanes([&](int i) { return i < n ? p[i] : other.v[i]; });
}
EVICTBENCH_INLINE V16 load_bf16(const std::uint16_t* p) {
  return lanes([&](int i) { return bf16_to_f32(p[i]); });
}
EVICTBENCH_INLINE V16 load_f16(const std::uint16_t* p) {
  return lanes([&](int i) { return f16_to_f32(p[i]); });
}
EVICTBENCH_INLINE void store_n(float* p, V16 a, int n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = a.v[i];
}
EVICTBENCH_INLINE void store(float* p, V16 a) { store_n(p, a, 16); }
EVICTBENCH_INLINE V16 fma(V16 a, V16 b, V16 c) {
  return lanes([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
EVICTBENCH_INLINE V16 add(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] + b.v[i]; });
}
EVICTBENCH_INLINE V16 sub(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] - b.v[i]; });
}
EVICTBENCH_INLINE V16 mul(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] * b.v[i]; });
}
EVICTBENCH_INLINE V16 div(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] / b.v[i]; });
}
EVICTBENCH_INLINE V16 max(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
EVICTBENCH_INLINE V16 where_less(V16 x, V16 limit, V16 yes, V16 no) {
  return lanes([&](int i) { return x.v[i] < limit.v[i] ? yes.v[i] : no.v[i]; });
}
EVICTBENCH_INLINE V16 times_power_of_two(V16 x, V16, V16 shifted, V16 of, V16 limit) {
  return lanes([&](int i) {
    if (of.v[i] < limit.v[i]) return 0.0f;
    return x.v[i] * std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted.v[i]) + 127u) << 23);
  });
}
EVICTBENCH_INLINE V16 mantissa_of(V16 x, V16& exponent) {
  exponent = lanes([&](int i) { return static_cast<float>(numerics::exponent_of(x.v[i])); });
  return lanes([&](int i) { return numerics::mantissa_of(x.v[i]); });
}
constexpr int kRowTile = 4;
constexpr int kColumnTile = 1;

#endif

#if !defined(__AVX512F__)
constexpr bool kExpands = false;  // there is no instruction for it
EVICTBENCH_INLINE V16 expand(V16 a, unsigned, unsigned) { return a; }
#endif

// to[j * to_stride + r] = from[r * stride + j] for r, j < 4
EVICTBENCH_INLINE void turn_4x4(const float* from, std::ptrdiff_t stride, float* to,
                                std::ptrdiff_t to_stride) {
#if defined(__AVX2__)
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + stride), c = _mm_loadu_ps(from + 2 * stride),
         d = _mm_loadu_ps(from + 3 * stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + to_stride, b);
  _mm_storeu_ps(to + 2 * to_stride, c);
  _mm_storeu_ps(to + 3 * to_stride, d);
#else
  for (int r = 0; r < 4; ++r)
    for (int j = 0; j < 4; ++j) to[j * to_stride + r] = from[r * stride + j];
#endif
}

// Sum of the 16 lanes, folded 8-4-2-1, and their maximum.
#if defined(__AVX2__)
EVICTBENCH_INLINE float fold(__m256 eight) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
EVICTBENCH_INLINE float max_of(__m256 eight) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
#if defined(__AVX512F__)
EVICTBENCH_INLINE __m256 low(V16 a) { return _mm512_castps512_ps256(a.v); }
EVICTBENCH_INLINE __m256 high(V16 a) { return _mm512_extractf32x8_ps(a.v, 1); }
#else
EVICTBENCH_INLINE __m256 low(V16 a) { return a.lo; }
EVICTBENCH_INLINE __m256 high(V16 a) { return a.hi; }
#endif
EVICTBENCH_INLINE float fold(V16 a) { return fold(_mm256_add_ps(low(a), high(a))); }
EVICTBENCH_INLINE float max_of(V16 a) { return max_of(_mm256_max_ps(low(a), high(a))); }
#else
EVICTBENCH_INLINE float fold(V16 a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  return a.v[0];
}
EVICTBENCH_INLINE float max_of(V16 a) {
  float most = a.v[0];
  for (int i = 1; i < 16; ++i) most = a.v[i] > most ? a.v[i] : most;
  return most;
}
#endif

// The operations of numerics::exp, for x of at most 88.
EVICTBENCH_INLINE V16 exp_below(V16 x) {
  const V16 rounder = set1(numerics::kRounder);
  const V16 shifted = fma(x, set1(numerics::kLog2e), rounder);
  const V16 n = sub(shifted, rounder);
  const V16 r = fma(n, set1(-numerics::kLn2Low), fma(n, set1(-numerics::kLn2High), x));
  V16 p = set1(numerics::kExpTaylor[0]);
  for (int i = 1; i < 8; ++i) p = fma(p, r, set1(numerics::kExpTaylor[i]));
  return times_power_of_two(p, n, shifted, x, set1(numerics::kExpLow));
}

// The operations of numerics::log.
EVICTBENCH_INLINE V16 log(V16 x) {
  V16 e;
  const V16 f = sub(mantissa_of(x, e), set1(1.0f));
  const V16 s = div(f, add(set1(2.0f), f)), z = mul(s, s), half_square = mul(mul(set1(0.5f), f), f);
  V16 p = set1(numerics::kAtanh[0]);
  for (int i = 1; i < 4; ++i) p = fma(p, z, set1(numerics::kAtanh[i]));
  const V16 rest = sub(fma(s, fma(p, z, half_square), mul(e, set1(numerics::kLn2Low))), half_square);
  return fma(e, set1(numerics::kLn2High), add(f, rest));
}

// The operations of numerics::softcap.
EVICTBENCH_INLINE V16 capped(V16 x, float cap) {
  const V16 zero = set1(0.0f), one = set1(1.0f), u = div(x, set1(cap)), size = max(u, sub(zero, u));
  const V16 t = exp_below(mul(set1(-2.0f), size)), tanh = div(sub(one, t), add(one, t));
  return mul(set1(cap), where_less(u, zero, sub(zero, tanh), tanh));
}

EVICTBENCH_INLINE V16 exp(V16 x) {
  return where_less(set1(numerics::kExpHigh), x, set1(__builtin_inff()), exp_below(x));
}
