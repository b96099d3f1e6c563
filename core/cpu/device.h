#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/device.h"

namespace tbb::detail::d1 {
class global_control;
class task_arena;
}  // namespace tbb::detail::d1

namespace evictbench {

namespace cpu {
struct Kernels;
}

// Host memory and the loops of core/cpu on `threads` threads. The instruction path changes speed, never bits.
class CpuDevice : public Device {
 public:
  // What matrix products and attention are made of: f32 chains, or bf16 dot products where the machine has them (mode
  // bf16dot).
  enum class Products { kF32, kBf16Dot };

  explicit CpuDevice(int threads = 0,
                     std::string_view path = {},           // 0: all cores; "": the widest this machine has
                     Products products = Products::kF32);  // what is not to be had here is an Error (exit 2)
  ~CpuDevice() override;

  const char* name() const override { return "cpu"; }
  const Ops& ops() const override;  // core/cpu/ops.cpp
  const cpu::Kernels& kernels() const { return *kernels_; }
  int threads() const { return threads_; }
  Products products() const { return products_; }

  // Calls work(i) for every i in [0, count), on this device's threads. What a call writes belongs to it alone.
  template <class Work>
  void each(int count, const Work& work) {
    run(
        count, [](const void* w, int i) { (*static_cast<const Work*>(w))(i); }, &work);
  }

  void* allocate(std::size_t bytes) override;
  void release(void* p, std::size_t bytes) noexcept override;
  void zero(void* p, std::size_t bytes) override;
  void upload(void* to, const void* host, std::size_t bytes) override { copy(to, host, bytes); }
  void download(void* host, const void* from, std::size_t bytes) override { copy(host, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override;
  std::size_t bytes_in_use() const override { return in_use_; }
  std::size_t peak_bytes() const override { return peak_; }
  void reset_peak() override { peak_ = in_use_.load(); }

 private:
  void run(int count, void (*call)(const void*, int), const void* work);

  int threads_;
  const cpu::Kernels* kernels_;
  Products products_;
  std::unique_ptr<tbb::detail::d1::global_control>
      more_workers_;  // where more threads are asked for than cores
  std::unique_ptr<tbb::detail::d1::task_arena> arena_;
  std::atomic<std::size_t> in_use_{0}, peak_{0};
  std::mutex spare_mutex_;
  std::multimap<std::size_t, void*> spare_;  // large blocks kept for the next example: first touch is slow
  std::size_t spare_bytes_ = 0;
};

// The device that the host operations of core/ops.h are given.
inline CpuDevice& cpu_of(Device& device) { return static_cast<CpuDevice&>(device); }

}  // namespace evictbench
