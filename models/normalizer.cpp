#include "models/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/utf8.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

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

std::string unicode_form(const std::string& text, int options) {
  if (std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; })) return text;
  const auto decompose = static_cast<utf8proc_option_t>((options & ~UTF8PROC_COMPOSE) | UTF8PROC_DECOMPOSE);
  Codes codes;
  codes.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8 next = decode_utf8(rest);
    std::array<utf8proc_int32_t, 32> parts{};  // a character has at most 18
    int boundary = 0;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(next.code), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), decompose, &boundary);
    require(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()), "a Unicode decomposition");
    codes.insert(codes.end(), parts.begin(), parts.begin() + count);
    rest.remove_prefix(next.bytes);
  }
  sort_marks(codes);
  auto length = static_cast<utf8proc_ssize_t>(codes.size());
  if (options & UTF8PROC_COMPOSE)
    length = utf8proc_normalize_utf32(codes.data(), length,
                                      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  require(length >= 0, "a Unicode composition");
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < length; ++i) append_utf8(out, codes[static_cast<std::size_t>(i)]);
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
