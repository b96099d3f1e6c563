// A card of the host's own memory. The kernels themselves run in core/cuda/emulator.cpp.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>

#include "core/cuda/emulated.h"
#include "core/cuda/recorder.h"
#include "core/cuda/runtime.h"
#include "core/device_errors.h"

namespace evictbench::cuda {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr int kUnwritten = 0xff;  // what fresh memory holds: NaN in any float type

// Of a program under test, from its environment: bytes of memory; after how many launches the card is lost, in the first
// process alone ("5000") or in every one ("5000 always").
std::size_t told_memory() {
  const char* told = std::getenv("EVICTBENCH_EMULATED_MEMORY");
  return told ? std::strtoull(told, nullptr, 10) : std::size_t{4} << 30;
}
std::int64_t told_loss() {
  const char* told = std::getenv("EVICTBENCH_EMULATED_LOSS");
  if (!told || (std::getenv("EVICTBENCH_RESTARTED") && !std::strstr(told, "always"))) return -1;
  return std::strtoll(told, nullptr, 10);
}

std::size_t memory = told_memory();
int major_number = 9;
std::atomic<std::int64_t> launched{0}, lost_at{told_loss()}, graphs_launched{0};

}  // namespace

namespace emulated {

void set_memory(std::size_t bytes) { memory = bytes; }
void set_major(int major) { major_number = major; }
void lose_after(std::int64_t launches) { lost_at = launches < 0 ? -1 : launched + launches; }
std::int64_t launches() { return launched; }
std::int64_t graph_launches() { return graphs_launched; }

}  // namespace emulated

namespace {

class EmulatedGraph final : public Graph {
 public:
  EmulatedGraph(Stream& stream, std::span<const Step> steps)
      : stream_(stream), steps_(steps.begin(), steps.end()) {}
  bool update(std::size_t number, const Step& step) override {
    steps_[number] = step;
    return step.kind != Step::Kind::kLibrary;
  }
  void launch() override {
    for (const Step& step : steps_) stream_.run(step);
    ++graphs_launched;
  }

 private:
  Stream& stream_;
  std::vector<Step> steps_;
};

}  // namespace

struct Runtime::State final : Stream {
  Card card{"emulated card", major_number, 0, 4, memory};
  std::map<void*, std::size_t> blocks;
  std::size_t in_use = 0;
  bool lost = false, graphs = asks_for_graphs(), recording = false;
  Recorder recorder{*this};
  std::vector<std::vector<std::byte>> staged;  // what pending copies bring to the card

  void check() const {
    if (lost) throw DeviceLost("emulated card: lost");
  }
  void run(const Step& step) override {
    check();
    if (step.kind == Step::Kind::kCopy) {
      std::memcpy(step.to, step.from, step.bytes);
    } else if (step.kind == Step::Kind::kZero) {
      std::memset(step.to, 0, step.bytes);
    } else {
      if (lost_at >= 0 && launched >= lost_at) {
        lost = true;
        lost_at = -1;  // a card that is opened anew works
      }
      check();
      ++launched;
      step.run();
    }
  }
  std::unique_ptr<Graph> build(std::span<const Step> steps) override {
    return std::make_unique<EmulatedGraph>(*this, steps);
  }
  void flush() {
    check();
    recorder.flush();
    staged.clear();
  }
};

int Runtime::cards() { return 1; }

Runtime::Runtime(int ordinal) : state_(std::make_unique<State>()) {
  if (ordinal != 0)
    reject(Exit::kUsage, {"E-CL-04", "this machine", "", "no CUDA card " + std::to_string(ordinal), "card 0",
                          "choose another device"});
}

Runtime::~Runtime() {
  for (const auto& [p, bytes] : state_->blocks) std::free(p);
}

const Card& Runtime::card() const { return state_->card; }
std::size_t Runtime::free_bytes() const { return memory > state_->in_use ? memory - state_->in_use : 0; }

void* Runtime::allocate(std::size_t bytes) {
  state_->check();
  if (bytes > free_bytes()) return nullptr;
  void* p = nullptr;
  if (posix_memalign(&p, kAlignment, bytes) != 0) return nullptr;
  std::memset(p, kUnwritten, bytes);
  state_->blocks[p] = bytes;
  state_->in_use += bytes;
  return p;
}

void Runtime::release(void* p) noexcept {
  const auto it = state_->blocks.find(p);
  if (it == state_->blocks.end()) std::abort();  // released twice, or never allocated
  state_->in_use -= it->second;
  state_->blocks.erase(it);
  std::free(p);
}

void* Runtime::allocate_pinned(std::size_t bytes) {
  state_->check();
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}

void Runtime::release_pinned(void* p) noexcept { std::free(p); }

void Runtime::run(Step step) {
  if (state_->recording)
    state_->recorder.add(std::move(step));
  else
    state_->run(step);
}

void Runtime::zero(void* p, std::size_t bytes) {
  if (bytes) run({.kind = Step::Kind::kZero, .to = p, .bytes = bytes});
}
void Runtime::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes) run({.kind = Step::Kind::kCopy, .to = to, .from = from, .bytes = bytes});
}
// The host's memory is free again on return, so what is held back has a copy.
void Runtime::upload(void* to, const void* host, std::size_t bytes) {
  if (!state_->recording || bytes == 0) return copy(to, host, bytes);
  const auto* from = static_cast<const std::byte*>(host);
  copy(to, state_->staged.emplace_back(from, from + bytes).data(), bytes);
}
void Runtime::download(void* host, const void* from, std::size_t bytes) {
  state_->flush();
  if (bytes) std::memcpy(host, from, bytes);
}

void Runtime::wait() { state_->flush(); }

bool Runtime::graphs() const { return state_->graphs; }
void Runtime::begin_step() {
  state_->recording = state_->graphs;
  state_->recorder.begin();
}
void Runtime::end_steps() {
  state_->flush();
  state_->recording = false;
}

double Runtime::seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void* Runtime::stream() {
  state_->flush();
  return nullptr;
}

void* Runtime::raw_stream() const { return nullptr; }

}  // namespace evictbench::cuda
