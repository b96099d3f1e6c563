#include "core/cuda/emulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <deque>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "core/error.h"

namespace evictbench::emulator {

thread_local Here here;

namespace {

namespace context = boost::context;

constexpr std::size_t kStackBytes = std::size_t{256} << 10;
constexpr std::size_t kMostShared = std::size_t{163}
                                    << 10;  // of a block on sm_80, the least of those we build for
constexpr unsigned kMostThreads = 1024, kMostGrid = 65535;
constexpr unsigned char kNobody =
    0xff;  // what shared memory holds before it is written: NaN in any float type

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes, valid;
};

struct Thread {
  enum class Wait { kNone, kWarp, kBlock, kDone };
  context::fiber fiber;
  Wait wait = Wait::kNone;
  unsigned mask = 0;       // of the lanes it waits for
  unsigned exchanges = 0;  // so far
  Index index;
  std::deque<std::vector<Copy>> groups;  // of copies, oldest first
  std::vector<Copy> begun;
};

struct Stacks {  // kept from block to block
  context::stack_context allocate() {
    if (spare.empty()) return context::fixedsize_stack(kStackBytes).allocate();
    const auto stack = spare.back();
    spare.pop_back();
    return stack;
  }
  ~Stacks() {
    for (auto& stack : spare) context::fixedsize_stack(kStackBytes).deallocate(stack);
  }
  std::vector<context::stack_context> spare;
};

struct Block;

thread_local Stacks stacks;
thread_local Block* running = nullptr;
thread_local Order order = Order::kAscending;
thread_local std::mt19937_64 shuffle;  // NOLINT: the same on every run

struct Allocator {
  context::stack_context allocate() { return stacks.allocate(); }
  void deallocate(context::stack_context& stack) { stacks.spare.push_back(stack); }
};

// The threads of a block in the making.
struct Block {
  explicit Block(Extent extent)
      : threads(extent.count()), slots((threads.size() + 31) / 32 * 2 * kWarp * kSlot) {
    std::size_t i = 0;
    for (unsigned z = 0; z < extent.z; ++z)
      for (unsigned y = 0; y < extent.y; ++y)
        for (unsigned x = 0; x < extent.x; ++x) threads[i++].index = {x, y, z};
    turns.resize(threads.size());
    std::iota(turns.begin(), turns.end(), 0u);
    if (order == Order::kDescending) std::ranges::reverse(turns);
  }

  void resume(unsigned i, const std::function<void()>& body) {
    Thread& thread = threads[i];
    now = i;
    here.thread = thread.index;
    thread.wait = Thread::Wait::kNone;
    if (!thread.fiber)
      thread.fiber = context::fiber(std::allocator_arg, Allocator{}, [&, i](context::fiber&& caller) {
        back = std::move(caller);
        try {  // nothing may leave a fiber
          body();
          require(threads[i].begun.empty() && threads[i].groups.empty(),
                  "emulator: a thread ends before its copies do");
        } catch (const std::exception&) {
          failure = std::current_exception();
        }
        threads[i].wait = Thread::Wait::kDone;
        return std::move(back);
      });
    thread.fiber = std::move(thread.fiber).resume();
    if (failure) std::rethrow_exception(failure);
  }

  void pause(Thread::Wait wait) {
    threads[now].wait = wait;
    context::fiber caller = std::move(back);
    back = std::move(caller).resume();
  }

  bool done(unsigned i) const { return threads[i].wait == Thread::Wait::kDone; }

  // Do all lanes that this one waits for wait for the same?
  bool warp_is_there(unsigned i) const {
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      const unsigned other = i / kWarp * kWarp + lane;
      if (!(threads[i].mask >> lane & 1u) || other >= threads.size()) continue;
      if (threads[other].wait != Thread::Wait::kWarp || threads[other].mask != threads[i].mask) return false;
    }
    return true;
  }

  // Lanes that have met all they wait for go on. -> did any?
  bool release_lanes(std::span<const unsigned> some) {
    std::vector<unsigned> free;
    for (const unsigned i : some)
      if (threads[i].wait == Thread::Wait::kWarp && warp_is_there(i)) free.push_back(i);
    for (const unsigned i : free) threads[i].wait = Thread::Wait::kNone;
    return !free.empty();
  }

  // Where all that are not done are at the barrier, they go on. -> did they?
  bool release_barrier() {
    const auto there = [&](unsigned i) { return done(i) || threads[i].wait == Thread::Wait::kBlock; };
    if (!std::ranges::all_of(turns, there)) return false;
    for (const unsigned i : turns)
      if (!done(i)) threads[i].wait = Thread::Wait::kNone;
    return true;
  }

  // Shuffled: all threads keep pace from one wait to the next. Otherwise warp after warp, each as far as it comes alone:
  // a warp that does not wait at a barrier meets what the others have not done yet.
  void run(const std::function<void()>& body) {
    while (true) {
      for (auto first = turns.begin(); first != turns.end();) {
        const auto last =
            order == Order::kShuffled
                ? turns.end()
                : std::find_if(first, turns.end(), [&](unsigned i) { return i / kWarp != *first / kWarp; });
        do {
          if (order == Order::kShuffled) std::ranges::shuffle(turns, shuffle);
          for (const unsigned i : std::span(first, last))
            if (threads[i].wait == Thread::Wait::kNone) resume(i, body);
        } while (release_lanes({first, last}));
        first = last;
      }
      if (std::ranges::all_of(turns, [&](unsigned i) { return done(i); })) return;
      require(release_barrier(), "emulator: threads of a block wait for each other in different places");
    }
  }

  std::vector<Thread> threads;
  std::vector<unsigned> turns;
  std::vector<unsigned char> slots;  // [warps, 2, 32, kSlot]: what lanes show, of two exchanges by turns
  std::exception_ptr failure;
  context::fiber back;
  unsigned now = 0;
};

void finish(std::vector<Copy>& copies) {
  for (const Copy& copy : copies) {
    std::memcpy(copy.to, copy.from, copy.valid);
    std::memset(static_cast<unsigned char*>(copy.to) + copy.valid, 0, copy.bytes - copy.valid);
  }
  copies.clear();
}

Thread& mine() { return running->threads[running->now]; }

}  // namespace

void set_order(Order how, std::uint64_t seed) {
  order = how;
  shuffle.seed(seed);
}

void run(Extent grid, Extent block, std::size_t shared_bytes, const std::function<void()>& body) {
  require(!running, "emulator: a kernel inside a kernel");
  require(block.count() >= 1 && block.count() <= kMostThreads && grid.count() >= 1 && grid.x < (1u << 31) &&
              grid.y <= kMostGrid && grid.z <= kMostGrid,
          "emulator: a grid that no card takes");
  require(shared_bytes <= kMostShared, "emulator: more shared memory than a card has");
  const std::unique_ptr<unsigned char[], void (*)(void*)> shared(
      static_cast<unsigned char*>(std::aligned_alloc(128, (shared_bytes + 128) / 128 * 128)), std::free);
  here.block_extent = block;
  here.grid_extent = grid;
  here.shared = shared.get();
  const std::unique_ptr<Block*, void (*)(Block**)> reset(&running, [](Block** p) { *p = nullptr; });
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        std::memset(shared.get(), kNobody, shared_bytes);
        here.block = {x, y, z};
        Block now(block);
        running = &now;
        now.run(body);
      }
}

unsigned lane() { return running->now % kWarp; }

void wait_block() { running->pause(Thread::Wait::kBlock); }

// Two turns of slots suffice: a lane shows its next but one value only when all have come to the next exchange, and so
// have read this one.
const unsigned char* exchange(unsigned mask, const void* value, std::size_t bytes) {
  require(bytes <= kSlot, "emulator: too large to be shown to other lanes");
  require(mask >> lane() & 1u, "emulator: a lane outside the mask");
  Thread& thread = mine();
  const std::size_t turn = running->now / kWarp * 2 + thread.exchanges++ % 2;
  unsigned char* slots = running->slots.data() + turn * kWarp * kSlot;
  if (bytes) std::memcpy(slots + lane() * kSlot, value, bytes);
  thread.mask = mask;
  running->pause(Thread::Wait::kWarp);
  return slots;
}

void begin_copy(void* to, const void* from, std::size_t bytes, std::size_t valid) {
  require(reinterpret_cast<std::uintptr_t>(to) % bytes == 0 &&
              (valid == 0 || reinterpret_cast<std::uintptr_t>(from) % bytes == 0),
          "emulator: a copy of that size is not aligned");
  mine().begun.push_back({to, from, bytes, valid});
}

void commit_copies() {
  mine().groups.push_back(std::move(mine().begun));
  mine().begun.clear();
}

void wait_copies(int groups_left) {
  auto& groups = mine().groups;
  for (; std::ssize(groups) > groups_left; groups.pop_front()) finish(groups.front());
}

}  // namespace evictbench::emulator
