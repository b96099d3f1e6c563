#include "models/tokenizer_agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "core/io/file.h"
#include "models/bpe_tokenizer.h"

namespace evictbench {
namespace {

constexpr const char *kTwo = "two files that agree", *kMend = "remove the one that is out of date";

// Single spaces only: some tokenizer.model files fold runs of them, and nothing here depends on it.
constexpr std::string_view kProbes[] = {
    "Hello",
    "the quick brown fox jumps over the lazy dog, probably",
    "Attention is all you need, but memory isn't free.",
    "int main() { return x[i] != 0; }",
    "0 1 23 456 7890 3.14159",
    "caf\u00e9 na\u00efve \u00fcber \u0141\u00f3d\u017a \u00f1",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u03ba\u03cc\u03c3\u03bc\u03b5",
    "\u4f60\u597d\u4e16\u754c \u3053\u3093\u306b\u3061\u306f \uc548\ub155",
    "\U0001f600 \U0001f680",
    " leading space",
    "two\nlines\n",
};

std::string id_at(const Tokens& ids, std::size_t at) {
  if (at >= ids.size()) return "its end";
  return fmt::format("{}", ids[at]);
}

void compare_probes(const Json& json, const Tokenizer& ours, const Tokenizer& model) {
  for (const std::string_view text : kProbes) {
    const Tokens a = ours.encode(text, {.add_special = false}),
                 b = model.encode(text, {.add_special = false});
    if (a == b) continue;
    const auto at = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
    json.reject("12",
                fmt::format("the text '{}' has {} as its token {} here, and {} in tokenizer.model",
                            printable(text), id_at(a, at), at + 1, id_at(b, at)),
                kTwo, kMend);
  }
}

void compare_vocabularies(const Json& json, const Tokenizer& model) {
  const auto part = json.find("model");
  const auto vocab = part && part->is_object() ? part->find("vocab") : std::nullopt;
  if (!vocab || !vocab->is_object()) return;
  for (const auto& [text, id] : vocab->items())
    if (const auto other = model.id_of(text); other != static_cast<std::int32_t>(id.integer(0, 1 << 30)))
      id.reject("12",
                fmt::format("the token '{}' has id {} here, and {} in tokenizer.model", printable(text),
                            id.integer(), other ? fmt::to_string(*other) : "none"),
                kTwo, kMend);
}

[[noreturn]] void reject_added(const Json& token) {
  token.reject("12",
               fmt::format("the added token '{}' has another id in tokenizer.model, or none",
                           printable(token.at("content").string())),
               kTwo, kMend);
}

// tokenizer.json may have been given tokens that tokenizer.model does not know: the first of them.
std::optional<Json> first_unknown(const Json& json, const Tokenizer& model) {
  const auto added = json.find("added_tokens");
  if (added && !added->is_array())
    added->reject("05", "added_tokens that is no list", "a list of tokens", "fetch the tokenizer again");
  std::optional<Json> first;
  for (std::size_t i = 0; added && i < added->size(); ++i) {
    const Json token = (*added)[i];
    const std::int64_t id = token.at("id").integer(0, 1 << 30);
    const auto known = model.id_of(token.at("content").string());
    if (known ? *known != id : id < model.vocabulary()) reject_added(token);
    if (!known && !first) first = token;
  }
  return first;
}

}  // namespace

std::unique_ptr<const Tokenizer> check_agreement(const Json& json, const Tokenizer& model) {
  const auto unknown = first_unknown(json, model);
  std::unique_ptr<const Tokenizer> ours;
  try {
    ours = make_bpe_tokenizer(read_tokenizer_json(json));
  } catch (const Error&) {  // tokenizer.model is what runs; its partner need not be of a form that we can run
    if (unknown) reject_added(*unknown);
    compare_vocabularies(json, model);
    return nullptr;
  }
  compare_probes(json, *ours, model);
  return unknown ? std::move(ours) : nullptr;
}

bool is_rank_file(const std::string& path) {
  const File file(path, Exit::kInput, "E-TM");
  std::string start(std::min<std::uint64_t>(file.size(), 512), '\0');
  file.read(0, std::as_writable_bytes(std::span(start)));
  const std::size_t space = start.find(' '), end = start.find('\n');
  if (space == 0 || space == start.npos || end == start.npos || end < space + 2) return false;
  const auto is_base64 = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=';
  };
  return std::all_of(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(space), is_base64) &&
         start.find_first_not_of("0123456789\r", space + 1) == end;
}

}  // namespace evictbench
