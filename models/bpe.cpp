#include "models/bpe.h"

#include <algorithm>
#include <functional>

namespace evictbench {
namespace {

std::uint64_t both(std::int32_t high, std::int32_t low) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(high)) << 32 | static_cast<std::uint32_t>(low);
}

}  // namespace

bool BpeMerges::add(std::int32_t left, std::int32_t right, std::int32_t rank, std::int32_t merged) {
  return rules_.try_emplace(both(left, right), Rule{rank, merged}).second;
}

// Looks up the rule for symbol `at` and the next one, and queues it.
void BpeMerges::watch(Workspace& work, std::int32_t at) const {
  auto& symbol = work.symbols[static_cast<std::size_t>(at)];
  symbol.rank = -1;
  if (symbol.next < 0) return;
  const auto rule = rules_.find(both(symbol.id, work.symbols[static_cast<std::size_t>(symbol.next)].id));
  if (rule == rules_.end()) return;
  symbol.rank = rule->second.rank;
  symbol.merged = rule->second.merged;
  work.queue.push_back(both(symbol.rank, at));
}

void BpeMerges::apply(const Tokens& piece, Workspace& work, Tokens& out) const {
  if (piece.size() < 2) {
    out.insert(out.end(), piece.begin(), piece.end());
    return;
  }
  auto& symbols = work.symbols;
  auto& queue = work.queue;
  const auto count = static_cast<std::int32_t>(piece.size());
  symbols.resize(piece.size());
  queue.clear();
  for (std::int32_t i = 0; i < count; ++i)
    symbols[static_cast<std::size_t>(i)] = {piece[static_cast<std::size_t>(i)], i - 1,
                                            i + 1 < count ? i + 1 : -1, -1, -1};
  for (std::int32_t i = 0; i < count; ++i) watch(work, i);
  std::ranges::make_heap(queue, std::greater{});
  const auto queue_pair = [&](std::int32_t at) {
    const std::size_t before = queue.size();
    watch(work, at);
    if (queue.size() > before) std::ranges::push_heap(queue, std::greater{});
  };

  while (!queue.empty()) {
    std::ranges::pop_heap(queue, std::greater{});
    const auto rank = static_cast<std::int32_t>(queue.back() >> 32);
    const auto at = static_cast<std::int32_t>(queue.back() & 0xffffffffU);
    queue.pop_back();
    auto& left = symbols[static_cast<std::size_t>(at)];
    if (left.rank != rank) continue;  // the pair has changed since it was queued
    auto& right = symbols[static_cast<std::size_t>(left.next)];
    left.id = left.merged;
    left.next = right.next;
    right.rank = -1;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = at;
    queue_pair(at);
    if (left.previous >= 0) queue_pair(left.previous);
  }
  for (std::int32_t i = 0; i >= 0; i = symbols[static_cast<std::size_t>(i)].next)
    out.push_back(symbols[static_cast<std::size_t>(i)].id);
}

}  // namespace evictbench
