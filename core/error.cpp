#include "core/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/utf8.h"

namespace evictbench {
namespace {

constexpr std::size_t kMostPath = 1024, kMostMessage = 4096;
constexpr std::size_t kMostCompared = 256;  // bytes of a hostile name that edit_distance looks at

// Would it move the cursor, hide itself or reorder the line?
bool is_visible(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;                    // controls
  if (c == 0xad || c == 0x61c || c == 0x180e || c == 0xfeff) return false;  // soft hyphen, marks, BOM
  if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)) return false;
  return !(c >= 0x2060 && c <= 0x206f) && !(c >= 0xe0000 && c <= 0xe0fff);
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string out;
  std::size_t fits = 0;  // length of `out` up to where an ellipsis may still be put
  while (!text.empty()) {
    const Utf8 next = decode_utf8(text);
    std::string piece;
    if (!next.valid)
      piece = fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    else if (is_visible(next.code))
      piece = text.substr(0, next.bytes);
    else
      piece = next.code < 0x80 ? fmt::format("\\x{:02x}", static_cast<unsigned>(next.code))
                               : fmt::format("\\u{:04x}", static_cast<unsigned>(next.code));
    if (out.size() + piece.size() > most) return out.substr(0, fits) + "...";
    out += piece;
    if (out.size() + 3 <= most) fits = out.size();
    text.remove_prefix(next.bytes);
  }
  return out;
}

void reject(Exit exit, const Problem& problem) {
  const std::string place =
      printable(problem.file, kMostPath) + (problem.position.empty() ? "" : ":") + problem.position;
  const bool stopped = problem.mend.ends_with('.') || problem.mend.ends_with('?');
  const std::string line = fmt::format("error[{}] {}: {}; expected {}. Mend: {}{}", problem.code, place,
                                       problem.found, problem.expected, problem.mend, stopped ? "" : ".");
  throw Error(exit, printable(line, kMostMessage));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  if (a.size() > kMostCompared || b.size() > kMostCompared) {  // a guess: the rests differ in length only
    const std::size_t rest_a = a.size() - std::min(a.size(), kMostCompared);
    const std::size_t rest_b = b.size() - std::min(b.size(), kMostCompared);
    return std::max(rest_a, rest_b) - std::min(rest_a, rest_b) +
           edit_distance(a.substr(0, kMostCompared), b.substr(0, kMostCompared));
  }
  std::vector<std::size_t> row(b.size() + 1);  // row[j]: distance of the seen part of a to b[0, j)
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i] != b[j] ? 1 : 0);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace evictbench
