#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "datasets/draws.h"

namespace evictbench {

// Which keys and values a scene may use: no name, number or value of one half ever stands in the other.
enum class RecallSplit { kTrain, kHeldOut };

struct RecallQuestion {
  std::string question, answer_prefix, answer;
  std::string
      evidence;  // what the last of the answer is read from: a part of one fact; "" where that is several
};

// Facts to be scattered over a text, and what can be asked about them. The first question is about the first fact.
struct RecallScene {
  std::vector<std::string> facts;  // a sentence or a line of code each
  std::vector<RecallQuestion> questions;
};

struct RecallKind {
  std::string name;         // "needle", as in `kind: needle`
  std::string description;  // of one `item`
  int items = 1;            // unless the sweep says otherwise
  RecallScene (*scene)(Draws& draws, RecallSplit split, int items);
};
std::span<const RecallKind> recall_kinds();

constexpr int kMostRecallItems = 64;  // so that there are always names and values left to draw

// Every word that values and objects are made of; none stands in generated text.
std::span<const std::string_view> recall_words();

// Whether a name, number or value belongs to the held-out half; known by two of its parts.
bool is_held_out(std::string_view first, std::string_view second);

}  // namespace evictbench
