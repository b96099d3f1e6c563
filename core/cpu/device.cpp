#include "core/cpu/device.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/cpu/kernels.h"
#include "core/device_errors.h"

namespace evictbench {
namespace {

constexpr std::size_t kLarge = std::size_t{1} << 16;       // blocks from here on are recycled
constexpr std::size_t kHuge = std::size_t{1} << 21;        // a huge page
constexpr int kFewTasks = 128;                             // to a thread
constexpr std::size_t kSpareLimit = std::size_t{6} << 30;  // of all recycled blocks together

// Recycled blocks come in few sizes: a power of two and three steps in between.
std::size_t rounded(std::size_t bytes) {
  if (bytes < kLarge) return (std::max(bytes, std::size_t{1}) + 63) / 64 * 64;
  std::size_t step = kLarge / 4;
  while (step * 8 <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

// A hint. Only whole pages can be advised of, and only what was asked for: nobody touches what rounding adds.
void advise_huge_pages(void* p, std::size_t bytes) {
  constexpr std::uintptr_t kPage = 4096;
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(p) + kPage - 1) / kPage * kPage,
                       end = (reinterpret_cast<std::uintptr_t>(p) + bytes) / kPage * kPage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace

CpuDevice::CpuDevice(int threads, std::string_view path, Products products)
    : threads_(threads > 0 ? threads : tbb::this_task_arena::max_concurrency()),
      kernels_(&cpu::kernels_named(path)),
      products_(products),
      more_workers_(threads_ > tbb::this_task_arena::max_concurrency()
                        ? std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                                static_cast<std::size_t>(threads_))
                        : nullptr),
      arena_(std::make_unique<tbb::task_arena>(threads_)) {
  if (products == Products::kBf16Dot && !kernels_->gemm_pairs)
    reject(Exit::kUsage, {"E-CL-03", "this machine", "", "no bf16 dot products in its processor",
                          "AVX-512 BF16", "use compute mode f32"});
}

CpuDevice::~CpuDevice() {
  for (const auto& [bytes, p] : spare_) std::free(p);
}

void CpuDevice::run(int count, void (*call)(const void*, int), const void* work) {
  if (count <= 0) return;
  if (count == 1 || threads_ == 1) {
    for (int i = 0; i < count; ++i) call(work, i);
    return;
  }
  const auto part = [&](const tbb::blocked_range<int>& range) {
    for (int i = range.begin(); i < range.end(); ++i) call(work, i);
  };
  const tbb::blocked_range<int> all(0, count);
  arena_->execute([&] {  // few tasks are large ones: each may go to whoever is free
    if (count <= kFewTasks * threads_)
      tbb::parallel_for(all, part, tbb::simple_partitioner());
    else
      tbb::parallel_for(all, part);
  });
}

void* CpuDevice::allocate(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  void* p = nullptr;
  if (size >= kLarge) {
    const std::scoped_lock lock(spare_mutex_);
    if (const auto it = spare_.find(size); it != spare_.end()) {
      p = it->second;
      spare_.erase(it);
      spare_bytes_ -= size;
    }
  }
  if (!p) {
    p = std::aligned_alloc(64, size);
    if (!p)
      throw OutOfMemory(fmt::format("out of memory: {} bytes asked for, {} in use", size, in_use_.load()));
    if (size >= kHuge) advise_huge_pages(p, bytes);
  }
  const std::size_t now = in_use_ += size;
  for (std::size_t seen = peak_; now > seen && !peak_.compare_exchange_weak(seen, now);) {
  }
  return p;
}

void CpuDevice::release(void* p, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  in_use_ -= size;
  if (size >= kLarge) {
    const std::scoped_lock lock(spare_mutex_);
    if (spare_bytes_ + size <= kSpareLimit) {
      spare_.emplace(size, p);
      spare_bytes_ += size;
      return;
    }
  }
  std::free(p);
}

void CpuDevice::zero(void* p, std::size_t bytes) {
  constexpr std::size_t kPiece = std::size_t{4} << 20;
  each(static_cast<int>((bytes + kPiece - 1) / kPiece), [&](int i) {
    const std::size_t from = static_cast<std::size_t>(i) * kPiece;
    std::memset(static_cast<char*>(p) + from, 0, std::min(kPiece, bytes - from));
  });
}

void CpuDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}

}  // namespace evictbench
