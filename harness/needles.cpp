#include "harness/needles.h"

#include <algorithm>
#include <cstdint>
#include <span>

namespace evictbench {
namespace {

Tokenizer::Encode how(const NeedleRules& rules) {
  return {.add_special = rules.specials, .parse_special = true};
}

// The ids that count as a full stop. Published lists of ids are these two spellings in the vocabularies of their models.
Tokens stops_of(const Tokenizer& tokenizer, const NeedleRules& rules) {
  if (!rules.any_stop) return tokenizer.encode(".", how(rules));
  Tokens stops;
  for (const std::string_view spelling : {".", "\u2581."})
    if (const auto id = tokenizer.id_of(spelling)) stops.push_back(*id);
  return stops;
}

}  // namespace

std::string first_tokens(const Tokenizer& tokenizer, std::string_view text, int tokens,
                         const NeedleRules& rules) {
  const Tokens ids = tokenizer.encode(text, how(rules));
  const auto most = static_cast<std::size_t>(tokens);
  return ids.size() <= most ? std::string(text) : tokenizer.decode(std::span(ids).first(most));
}

HiddenNeedle hide_needle(const Tokenizer& tokenizer, std::string_view context, std::string_view needle,
                         int tokens, double depth, const NeedleRules& rules) {
  const Tokens hidden = tokenizer.encode(needle, how(rules));
  Tokens ids = tokenizer.encode(context, how(rules));
  const auto most = static_cast<std::size_t>(tokens);
  ids.resize(std::min(ids.size(), most - std::min(most, hidden.size())));
  std::size_t place = ids.size();
  if (depth < 100) {
    const Tokens stops = stops_of(tokenizer, rules);
    place = static_cast<std::size_t>(static_cast<double>(ids.size()) * (depth / 100));
    while (place > 0 && std::ranges::find(stops, ids[place - 1]) == stops.end()) --place;
  }
  ids.insert(ids.begin() + static_cast<std::ptrdiff_t>(place), hidden.begin(), hidden.end());
  return {tokenizer.decode(ids, rules.specials), place};
}

}  // namespace evictbench
