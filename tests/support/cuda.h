#pragma once

#include <gtest/gtest.h>

#include <cstdint>

#include "core/cuda/device.h"
#include "core/cuda/open.h"
#ifdef EVICTBENCH_EMULATED
#include "core/cuda/emulator.h"
#endif

// Tests of the CUDA device are built twice where nvcc is: for the emulator, and for a card (programs named .._card),
// which skip without one.
namespace evictbench {

// Without a card nothing is run, and no fixture made.
class NeedsCard : public ::testing::Environment {
 public:
  void SetUp() override {
    if (cuda_cards() == 0) GTEST_SKIP() << "no CUDA card on this machine";
  }
};
inline const auto* const kNeedsCard = ::testing::AddGlobalTestEnvironment(new NeedsCard);

using CudaTest = ::testing::Test;

// Calls check() for each order in which the emulator may run the threads of a block; once on a card.
template <class Check>
void in_every_order(const Check& check) {
#ifdef EVICTBENCH_EMULATED
  for (const auto order :
       {emulator::Order::kAscending, emulator::Order::kDescending, emulator::Order::kShuffled}) {
    SCOPED_TRACE(static_cast<int>(order));
    emulator::set_order(order, 1);
    check();
  }
  emulator::set_order(emulator::Order::kAscending);
#else
  check();
#endif
}

}  // namespace evictbench
