#include "models/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

// The tokenizers package normalizes by the tables of Unicode 9. What later ones say of these characters, newer marks
// and compatibility forms, does not count: they stay as they are, and nothing moves past them.
constexpr std::pair<char32_t, char32_t> kAfterUnicode9[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},
    {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},
    {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},   {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x10785},
    {0x10787, 0x107b0}, {0x107b2, 0x107ba}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10f46, 0x10f50},
    {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
    {0x11d97, 0x11d97}, {0x16ff0, 0x16ff1}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef},
    {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};

bool is_after_unicode_9(char32_t code) {
  const auto* const range =
      std::ranges::lower_bound(kAfterUnicode9, code, {}, [](const auto& r) { return r.second; });
  return range != std::end(kAfterUnicode9) && code >= range->first;
}

using Codes = std::vector<utf8proc_int32_t>;

void append_utf8(std::string& out, utf8proc_int32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(code, bytes.data());
  out.append(bytes.begin(), bytes.begin() + size);
}

// Marks on one letter stand in the order of their class. The library sorts them in quadratic time.
void sort_marks(Codes& codes) {
  const auto rank = [](utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; };
  for (auto at = codes.begin(); at != codes.end();) {
    at = std::find_if(at, codes.end(), [&](auto code) { return rank(code) != 0; });
    const auto end = std::find_if(at, codes.end(), [&](auto code) { return rank(code) == 0; });
    std::stable_sort(at, end, [&](auto a, auto b) { return rank(a) < rank(b); });
    at = end;
  }
}

void append_form(Codes& codes, int options, std::string& out) {
  sort_marks(codes);
  auto length = static_cast<utf8proc_ssize_t>(codes.size());
  if (options & UTF8PROC_COMPOSE)
    length = utf8proc_normalize_utf32(codes.data(), length,
                                      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  require(length >= 0, "a Unicode composition");
  for (utf8proc_ssize_t i = 0; i < length; ++i) append_utf8(out, codes[static_cast<std::size_t>(i)]);
  codes.clear();
}

std::string unicode_form(const std::string& text, int options) {
  if (std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; })) return text;
  const auto decompose = static_cast<utf8proc_option_t>((options & ~UTF8PROC_COMPOSE) | UTF8PROC_DECOMPOSE);
  Codes codes;
  codes.reserve(text.size());
  std::string out;
  out.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8 next = decode_utf8(rest);
    rest.remove_prefix(next.bytes);
    const auto code = static_cast<utf8proc_int32_t>(next.code);
    if (is_after_unicode_9(next.code)) {
      append_form(codes, options, out);
      append_utf8(out, code);
      continue;
    }
    std::array<utf8proc_int32_t, 32> parts{};  // a character has at most 18
    int boundary = 0;
    const auto count = utf8proc_decompose_char(
        code, parts.data(), static_cast<utf8proc_ssize_t>(parts.size()), decompose, &boundary);
    require(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()), "a Unicode decomposition");
    codes.insert(codes.end(), parts.begin(), parts.begin() + count);
  }
  append_form(codes, options, out);
  return out;
}

std::string lowercase(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8 next = decode_utf8(rest);
    if (next.code == 0x130)
      out += "i\u0307";  // the only one that becomes two
    else
      append_utf8(out, utf8proc_tolower(static_cast<utf8proc_int32_t>(next.code)));
    rest.remove_prefix(next.bytes);
  }
  return out;
}

std::string strip(std::string_view text, const Normalization& step) {
  if (step.left) text = without_start_space(text);
  if (step.right) text = without_end_space(text);
  return std::string(text);
}

std::string apply(const std::string& text, const Normalization& step) {
  using Kind = Normalization::Kind;
  switch (step.kind) {
    case Kind::kNfc:
      return unicode_form(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    case Kind::kNfd:
      return unicode_form(text, UTF8PROC_STABLE);
    case Kind::kNfkc:
      return unicode_form(text, UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE);
    case Kind::kNfkd:
      return unicode_form(text, UTF8PROC_STABLE | UTF8PROC_COMPAT);
    case Kind::kLowercase:
      return lowercase(text);
    case Kind::kStrip:
      return strip(text, step);
    case Kind::kPrepend:
      return step.to + text;
    case Kind::kReplace:
      return replace_all(text, step.from, step.to);
  }
  return text;
}

}  // namespace

std::string normalize(std::string text, const std::vector<Normalization>& steps) {
  for (const Normalization& step : steps) {
    if (text.empty()) break;
    text = apply(text, step);
  }
  return text;
}

}  // namespace evictbench
