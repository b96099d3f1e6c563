#pragma once

#include <stdexcept>
#include <string_view>

#include "core/error.h"

namespace evictbench {

// What a file of this folder defines: reads `input` as the parser's file. An Error is a refusal, and good if it is one
// well-formed line that blames the input; anything else that is thrown, crashes, hangs or eats memory is a finding.
void fuzz_one(std::string_view input);

// Checks what fuzz_one, or a part of it that goes on afterwards, was refused with.
void check_refusal(const Error& error);

// Does `act` pass? Refusals are checked.
template <class Act>
bool passes(const Act& act) {
  try {
    act();
    return true;
  } catch (const Error& error) {
    check_refusal(error);
    return false;
  }
}

// A property that must hold of whatever input was accepted.
inline void must(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);  // nobody catches it
}

// Cuts `input` at the first `mark`: what stands before it is returned and taken away with the mark.
inline std::string_view take_until(std::string_view& input, char mark) {
  const std::size_t at = input.find(mark);
  const std::string_view part = input.substr(0, at);
  input = at == input.npos ? std::string_view() : input.substr(at + 1);
  return part;
}

}  // namespace evictbench
