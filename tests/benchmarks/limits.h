#pragma once

#include <immintrin.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// What the machine itself can do, measured beside what is compared with it: register-only multiply-adds, bf16 dot
// products, streaming reads, and the clock. Shares no code with the product.
namespace evictbench::limits {

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline bool has_avx512() { return __builtin_cpu_supports("avx512f") != 0; }
inline bool has_bf16() { return __builtin_cpu_supports("avx512bf16") != 0; }

// Each loop keeps 24 independent chains in registers, enough to hide the latency of two units.
[[gnu::target("avx512f"), gnu::noinline]] inline float fma_512(std::int64_t rounds) {
  __m512 a[24];
  for (auto& x : a) x = _mm512_set1_ps(1);
  const __m512 b = _mm512_set1_ps(0.5f), c = _mm512_set1_ps(0.25f);
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 24
    for (auto& x : a) x = _mm512_fmadd_ps(x, b, c);
  }
  __m512 sum = a[0];
  for (int i = 1; i < 24; ++i) sum = _mm512_add_ps(sum, a[i]);
  return _mm512_cvtss_f32(sum);
}
[[gnu::target("avx2,fma"), gnu::noinline]] inline float fma_256(std::int64_t rounds) {
  __m256 a[12];
  for (auto& x : a) x = _mm256_set1_ps(1);
  const __m256 b = _mm256_set1_ps(0.5f), c = _mm256_set1_ps(0.25f);
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (auto& x : a) x = _mm256_fmadd_ps(x, b, c);
  }
  __m256 sum = a[0];
  for (int i = 1; i < 12; ++i) sum = _mm256_add_ps(sum, a[i]);
  return _mm256_cvtss_f32(sum);
}
[[gnu::target("avx512f,avx512bf16"), gnu::noinline]] inline float dot_bf16(std::int64_t rounds) {
  __m512 a[24];
  for (auto& x : a) x = _mm512_set1_ps(0);
  const __m512bh b = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3f003f00));
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 24
    for (auto& x : a) x = _mm512_dpbf16_ps(x, b, b);
  }
  __m512 sum = a[0];
  for (int i = 1; i < 24; ++i) sum = _mm512_add_ps(sum, a[i]);
  return _mm512_cvtss_f32(sum);
}
[[gnu::target("avx2"), gnu::noinline]] inline std::uint64_t read_all(const char* from, std::size_t bytes) {
  __m256i sum[8] = {};
  for (std::size_t i = 0; i + 256 <= bytes; i += 256) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j)
      sum[j] = _mm256_add_epi64(
          sum[j],
          _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i + 32 * static_cast<std::size_t>(j))));
  }
  for (int j = 1; j < 8; ++j) sum[0] = _mm256_add_epi64(sum[0], sum[j]);
  std::uint64_t out[4];
  std::memcpy(out, &sum[0], sizeof out);
  return out[0] + out[1] + out[2] + out[3];
}

// Runs work(thread) on `threads` threads at once -> seconds until the last one is done.
template <class Work>
double together(int threads, const Work& work) {
  std::atomic<int> ready{0};
  std::vector<std::thread> pool;
  std::atomic<bool> go{false};
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      ++ready;
      while (!go) std::this_thread::yield();
      work(t);
    });
  while (ready < threads) std::this_thread::yield();
  const double start = seconds();
  go = true;
  for (std::thread& thread : pool) thread.join();
  return seconds() - start;
}

inline volatile float sink;

inline double fma_flops(int threads) {  // per second
  constexpr std::int64_t kRounds = 4'000'000;
  const bool wide = has_avx512();
  const double time = together(threads, [&](int) { sink = wide ? fma_512(kRounds) : fma_256(2 * kRounds); });
  return static_cast<double>(threads) * kRounds * (wide ? 24 * 16 : 2 * 12 * 8) * 2 / time;
}

inline double bf16_flops(int threads) {
  constexpr std::int64_t kRounds = 4'000'000;
  const double time = together(threads, [&](int) { sink = dot_bf16(kRounds); });
  return static_cast<double>(threads) * kRounds * 24 * 16 * 4 / time;
}

inline double read_bytes(int threads) {  // per second, of 256 MiB that no cache holds
  constexpr std::size_t kBytes = std::size_t{256} << 20, kTimes = 4;
  static const auto memory = [] {
    auto* p = static_cast<char*>(std::aligned_alloc(4096, kBytes));
    std::memset(p, 1, kBytes);
    return std::unique_ptr<char, void (*)(void*)>(p, std::free);
  }();
  const std::size_t part = kBytes / static_cast<std::size_t>(threads);
  const double time = together(threads, [&](int t) {
    for (std::size_t i = 0; i < kTimes; ++i)
      sink = static_cast<float>(read_all(memory.get() + part * static_cast<std::size_t>(t), part));
  });
  return static_cast<double>(kBytes * kTimes) / time;
}

// Cycles per second: a chain of additions takes one each.
inline double clock_rate() {
  constexpr std::int64_t kRounds = 20'000'000;
  std::uint64_t x = 1;
  const double start = seconds();
  for (std::int64_t i = 0; i < kRounds; ++i)
    asm volatile(
        "add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n add $1, "
        "%0"
        : "+r"(x));
  return 8.0 * kRounds / (seconds() - start);
}

}  // namespace evictbench::limits
