// load_time FOLDER [THREADS]: milliseconds to read the weights' files once, to open the checkpoint, and to load it for the
// CPU; then the bytes of the weights, and the most memory that loading took beyond what was there before. One JSON line.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "core/cpu/device.h"
#include "core/io/file.h"
#include "models/checkpoint.h"

namespace {

using evictbench::Exit;

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

long peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

// As `dd bs=1M` does: one thread, one block.
void read_once(const std::string& folder) {
  std::vector<std::byte> block(1 << 20);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    const evictbench::File file(entry.path().string(), Exit::kInput, "E-CK");
    for (std::uint64_t at = 0; at < file.size(); at += block.size())
      file.read(at, std::span(block).first(std::min<std::uint64_t>(block.size(), file.size() - at)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) return std::fprintf(stderr, "usage: %s FOLDER [THREADS]\n", argv[0]), 2;
  const std::string folder = argv[1];
  auto start = std::chrono::steady_clock::now();
  read_once(folder);
  const double read = since(start);
  evictbench::CpuDevice device(argc == 3 ? std::atoi(argv[2]) : 0);
  const long before = peak_bytes();
  start = std::chrono::steady_clock::now();
  const evictbench::Checkpoint checkpoint(folder);
  const double opened = since(start);
  const auto model = checkpoint.load(device);
  const double loaded = since(start) - opened;
  fmt::print(
      "{{\"read_ms\":{:.1f},\"open_ms\":{:.1f},\"load_ms\":{:.1f},\"weight_bytes\":{},\"peak_bytes\":{}}}\n",
      read, opened, loaded, checkpoint.weight_bytes(), peak_bytes() - before);
}
