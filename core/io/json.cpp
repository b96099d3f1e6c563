#include "core/io/json.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/io/file.h"

namespace evictbench {
namespace {

enum class Kind : std::uint8_t { kNull, kBoolean, kInteger, kUnsigned, kNumber, kString, kArray, kObject };

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kContext = 40;  // bytes of the text shown in a message

std::uint32_t hash(std::string_view key) {
  return static_cast<std::uint32_t>(XXH3_64bits(key.data(), key.size()));
}

// Where a value stands in its text.
struct Place {
  std::size_t key = 0;  // equal to `value` where there is no key
  std::size_t value = 0;
};

// The place of value number `n` in document order. The text is valid JSON up to there.
Place locate(std::string_view text, std::uint32_t n) {
  std::size_t key = std::string_view::npos;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == ']' || c == '}') continue;
    const std::size_t start = at;
    if (c == '"') {
      while (++at < text.size() && text[at] != '"') at += text[at] == '\\' ? 1 : 0;
      const std::size_t next = text.find_first_not_of(" \t\n\r", at + 1);
      if (next != text.npos && text[next] == ':') {
        key = start;
        at = next;
        continue;
      }
    } else if (c != '{' && c != '[') {
      at = std::min(text.find_first_of(",]} \t\n\r", at), text.size()) - 1;
    }
    if (n-- == 0) return {std::min(key, start), start};
    key = std::string_view::npos;
  }
  return {text.size(), text.size()};
}

std::string place_name(std::string_view text, std::size_t offset, const JsonRules& rules) {
  if (rules.first_byte) return fmt::format("byte {}", *rules.first_byte + offset);
  const std::string_view before = text.substr(0, offset);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  const auto lines = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  return fmt::format("{}:{}", rules.first_line + lines,
                     1 + std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end(),
                                       starts_character));
}

std::string counted(const std::string& what, std::int64_t least, std::int64_t most) {
  if (most != INT64_MAX) return fmt::format("{} from {} to {}", what, least, most);
  return least == INT64_MIN ? what : fmt::format("{} of at least {}", what, least);
}

}  // namespace

struct Json::Node {
  Kind kind = Kind::kNull;
  std::uint32_t key = kNone;     // index into strings
  std::uint32_t parent = kNone;  // node
  std::uint32_t end = 0;         // the node after this one and all within it
  std::uint32_t count = 0;       // of values directly within
  std::uint32_t children = 0;    // where their list starts in Document::children
  union {
    std::int64_t integer = 0;
    double number;
    std::uint64_t string;  // index into strings
  };
};

struct Json::Document {
  JsonRules rules;
  std::string file, text;
  std::vector<Node> nodes;  // in document order
  std::vector<std::string> strings;
  // Of an array: nodes in order. Of an object: hash of the key << 32 | node, in order of (hash, key).
  std::vector<std::uint64_t> children;

  [[noreturn]] void reject(std::string_view code, std::string position, std::string found,
                           std::string expected, std::string mend) const {
    evictbench::reject(rules.exit, {fmt::format("{}-{}", rules.code_prefix, code), file, std::move(position),
                                    std::move(found), std::move(expected), std::move(mend)});
  }
  [[noreturn]] void reject_text(std::string_view code, std::size_t offset, const std::string& found,
                                const std::string& expected, const std::string& mend) const {
    offset = std::min(offset, text.size());
    const std::size_t from = offset > kContext / 2 ? offset - kContext / 2 : 0;
    const std::string context = printable(std::string_view(text).substr(from, kContext));
    reject(code, place_name(text, offset, rules), fmt::format("{} near '{}'", found, context), expected,
           mend);
  }

  const std::string& key_of(std::uint64_t child) const {
    return strings[nodes[static_cast<std::uint32_t>(child)].key];
  }
  std::string pointer(std::uint32_t node) const;
};

std::string Json::Document::pointer(std::uint32_t node) const {
  std::vector<std::string> parts;
  for (; nodes[node].parent != kNone; node = nodes[node].parent) {
    std::string part;
    if (nodes[node].key == kNone) {
      std::size_t index = 0;
      for (std::uint32_t before = nodes[node].parent + 1; before != node; before = nodes[before].end) ++index;
      part = std::to_string(index);
    } else {
      for (const char c : strings[nodes[node].key])
        part += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    }
    parts.push_back(printable(part));
  }
  std::reverse(parts.begin(), parts.end());
  return parts.empty() ? "" : fmt::format("/{}", fmt::join(parts, "/"));
}

// Called by the parser. Its callbacks are of the form that nlohmann::json::sax_parse wants.
struct Json::Builder {
  struct Open {
    std::uint32_t node;
    std::size_t first;  // of its children in `pending`
  };
  Document& document;
  std::vector<Open> open;
  std::vector<std::uint64_t> pending;  // children of the open values
  std::uint32_t next_key = kNone;

  std::uint32_t intern(std::string& text) {
    document.strings.push_back(std::move(text));
    return static_cast<std::uint32_t>(document.strings.size() - 1);
  }

  Node& add(Kind kind) {
    const auto index = static_cast<std::uint32_t>(document.nodes.size());
    if (index >= document.rules.values)
      document.reject(
          "J03",
          fmt::format("{} {}",
                      place_name(document.text, locate(document.text, index - 1).value, document.rules),
                      pointer_of_open()),
          fmt::format("more than {} values", document.rules.values), "a smaller document",
          "check that this is the right file");
    pending.push_back(next_key == kNone ? index
                                        : std::uint64_t{hash(document.strings[next_key])} << 32 | index);
    Node& node = document.nodes.emplace_back();
    node.kind = kind;
    node.key = std::exchange(next_key, kNone);
    node.parent = open.empty() ? kNone : open.back().node;
    node.end = index + 1;
    return node;
  }

  bool enter(Kind kind) {
    add(kind);
    const auto index = static_cast<std::uint32_t>(document.nodes.size() - 1);
    if (open.size() >= static_cast<std::size_t>(document.rules.depth))
      document.reject_text("J03", locate(document.text, index).value,
                           fmt::format("nested more than {} deep", document.rules.depth),
                           fmt::format("at most {} levels", document.rules.depth),
                           "check that this is the right file");
    open.push_back({index, pending.size()});
    return true;
  }

  bool leave() {
    const auto [index, first] = open.back();
    open.pop_back();
    const auto from = pending.begin() + static_cast<std::ptrdiff_t>(first);
    Node& node = document.nodes[index];
    node.end = static_cast<std::uint32_t>(document.nodes.size());
    node.count = static_cast<std::uint32_t>(pending.end() - from);
    node.children = static_cast<std::uint32_t>(document.children.size());
    if (node.kind == Kind::kObject) {
      std::sort(from, pending.end(), [&](std::uint64_t a, std::uint64_t b) {
        return a >> 32 != b >> 32 ? a < b : document.key_of(a) < document.key_of(b);
      });
      const auto same = [&](std::uint64_t a, std::uint64_t b) {
        return a >> 32 == b >> 32 && document.key_of(a) == document.key_of(b);
      };
      if (const auto twice = std::adjacent_find(from, pending.end(), same); twice != pending.end())
        reject_twice(static_cast<std::uint32_t>(*twice), static_cast<std::uint32_t>(*(twice + 1)));
    }
    document.children.insert(document.children.end(), from, pending.end());
    pending.erase(from, pending.end());
    return true;
  }

  [[noreturn]] void reject_twice(std::uint32_t a, std::uint32_t b) const {
    const auto place = [&](std::uint32_t node) {
      return place_name(document.text, locate(document.text, node).key, document.rules);
    };
    document.reject("J04", place(std::max(a, b)) + " " + document.pointer(a),
                    fmt::format("the key \"{}\" stands here and at {}",
                                printable(document.strings[document.nodes[a].key]), place(std::min(a, b))),
                    "every key once", "take one of them out");
  }
  std::string pointer_of_open() const { return open.empty() ? "" : document.pointer(open.back().node); }

  bool null() { return add(Kind::kNull), true; }
  bool boolean(bool value) { return add(Kind::kBoolean).integer = value, true; }
  bool number_integer(std::int64_t value) { return add(Kind::kInteger).integer = value, true; }
  bool number_unsigned(std::uint64_t value) {
    if (value > INT64_MAX) return add(Kind::kUnsigned).number = static_cast<double>(value), true;
    return number_integer(static_cast<std::int64_t>(value));
  }
  // An integer beyond 64 bits arrives here too.
  bool number_float(double value, const std::string& source) {
    const bool whole = source.find_first_not_of("-0123456789") == source.npos;
    return add(whole ? Kind::kUnsigned : Kind::kNumber).number = value, true;
  }
  bool string(std::string& value) {
    const std::uint32_t index = intern(value);
    return add(Kind::kString).string = index, true;
  }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(std::size_t) { return enter(Kind::kObject); }
  bool start_array(std::size_t) { return enter(Kind::kArray); }
  bool end_object() { return leave(); }
  bool end_array() { return leave(); }
  bool key(std::string& value) {
    next_key = intern(value);
    return true;
  }
  bool parse_error(std::size_t read, const std::string&, const nlohmann::json::exception& error) {
    std::string what = error.what();
    if (const std::size_t detail = what.find(": "); detail != what.npos) what.erase(0, detail + 2);
    if (what.starts_with('[')) what.erase(0, what.find("] ") + 2);  // "[json.exception.out_of_range.406] "
    what.erase(std::min(what.find("; last read"), what.size()));
    std::replace(what.begin(), what.end(), ';', ',');
    document.reject_text("J01", read == 0 ? 0 : read - 1, "this is not JSON: " + printable(what, 200),
                         "valid JSON", "correct the text there (comments, NaN and Infinity are not JSON)");
  }
};

Json::Json(std::shared_ptr<const Document> document, std::uint32_t node)
    : document_(std::move(document)), node_(node) {}

Json Json::from_file(const std::string& path, const JsonRules& rules) {
  return from_text(read_text(path, rules.exit, rules.code_prefix, rules.bytes), path, rules);
}

Json Json::from_text(std::string text, const std::string& file_name, const JsonRules& rules) {
  auto document = std::make_shared<Document>();
  document->rules = rules;
  document->file = file_name;
  document->text = std::move(text);
  const std::string_view all = document->text;
  const std::uint64_t most = std::min<std::uint64_t>(rules.bytes, kNone - 1);
  if (all.size() > most)
    document->reject("J03", "", fmt::format("{} bytes of JSON", all.size()), fmt::format("at most {}", most),
                     "check that this is the right file");
  if (all.find_first_not_of(" \t\r\n") == all.npos)
    document->reject("F07", "", all.empty() ? "the file is empty" : "the file holds only white space", "JSON",
                     "write or fetch it again");
  if (all.starts_with("\xef\xbb\xbf"))
    document->reject_text("J01", 0, "a byte-order mark", "JSON without one",
                          "save the file as UTF-8 without BOM");
  if (const std::size_t bad = invalid_utf8(all); bad != all.npos)
    document->reject_text("J02", bad, "bytes that are not UTF-8", "UTF-8 text", "save the file as UTF-8");
  if (const std::size_t nul = all.find('\0'); nul != all.npos)  // the parser would take it for the end
    document->reject_text("J01", nul, "a NUL byte", "JSON text", "write or fetch the file again");
  Builder builder{*document, {}, {}, kNone};
  const bool parsed = nlohmann::json::sax_parse(all.begin(), all.end(), &builder);
  require(parsed, "json: the parser stopped without a reason");
  return Json(std::move(document), 0);
}

const Json::Node& Json::node() const { return document_->nodes[node_]; }

bool Json::is_null() const { return node().kind == Kind::kNull; }
bool Json::is_object() const { return node().kind == Kind::kObject; }
bool Json::is_array() const { return node().kind == Kind::kArray; }
bool Json::is_string() const { return node().kind == Kind::kString; }
bool Json::is_number() const { return is_integer() || node().kind == Kind::kNumber; }
bool Json::is_integer() const { return node().kind == Kind::kInteger || node().kind == Kind::kUnsigned; }
bool Json::is_boolean() const { return node().kind == Kind::kBoolean; }

std::int64_t Json::integer(std::int64_t least, std::int64_t most) const {
  const std::string expected = "an integer";
  if (!is_integer()) reject_kind(counted(expected, least, most));
  if (node().kind == Kind::kUnsigned || node().integer < least || node().integer > most)
    reject_range(counted(expected, least, most));
  return node().integer;
}

double Json::number(double least, double most) const {
  if (!is_number()) reject_kind("a number");
  const double value = node().kind == Kind::kInteger ? static_cast<double>(node().integer) : node().number;
  if (!(value >= least && value <= most) || !std::isfinite(value))
    reject_range(fmt::format("a number from {} to {}", least, most));
  return value;
}

bool Json::boolean() const {
  if (!is_boolean()) reject_kind("true or false");
  return node().integer != 0;
}

const std::string& Json::string() const {
  if (!is_string()) reject_kind("a string");
  return document_->strings[node().string];
}

std::size_t Json::size() const {
  if (!is_array() && !is_object()) reject_kind("an array or an object");
  return node().count;
}

Json Json::operator[](std::size_t index) const {
  if (!is_array()) reject_kind("an array");
  require(index < node().count, "json: index beyond the array");
  return Json(document_, static_cast<std::uint32_t>(document_->children[node().children + index]));
}

std::vector<std::pair<std::string, Json>> Json::items() const {
  if (!is_object()) reject_kind("an object");
  std::vector<std::pair<std::string, Json>> all;
  all.reserve(node().count);
  for (std::uint32_t child = node_ + 1; child < node().end; child = document_->nodes[child].end)
    all.emplace_back(document_->strings[document_->nodes[child].key], Json(document_, child));
  return all;
}

std::optional<std::uint32_t> Json::child(std::string_view key) const {
  if (!is_object()) reject_kind("an object");
  const auto first = document_->children.begin() + node().children, last = first + node().count;
  const std::uint64_t wanted = hash(key);
  const auto found = std::lower_bound(first, last, key, [&](std::uint64_t a, std::string_view b) {
    return a >> 32 != wanted ? a >> 32 < wanted : document_->key_of(a) < b;
  });
  if (found == last || *found >> 32 != wanted || document_->key_of(*found) != key) return std::nullopt;
  return static_cast<std::uint32_t>(*found);
}

bool Json::has(std::string_view key) const { return child(key).has_value(); }

Json Json::at(std::string_view key) const {
  if (const auto found = child(key)) return Json(document_, *found);
  std::vector<std::string> keys;
  for (const auto& [name, value] : items()) keys.push_back(name);
  const std::string near = nearest(key, keys);
  reject("J07", fmt::format("\"{}\" is absent", printable(key)),
         fmt::format("the key \"{}\"", printable(key)),
         near.empty() ? fmt::format("add \"{}\"", printable(key))
                      : fmt::format("is \"{}\" meant to be it? Else add it", printable(near)));
}

std::optional<Json> Json::find(std::string_view key) const {
  const auto found = child(key);
  if (!found || document_->nodes[*found].kind == Kind::kNull) return std::nullopt;
  return Json(document_, *found);
}

const std::string& Json::file() const { return document_->file; }
std::string Json::pointer() const { return document_->pointer(node_); }

std::string Json::position() const {
  const std::string place =
      place_name(document_->text, locate(document_->text, node_).value, document_->rules);
  return node_ == 0 ? place : place + " " + pointer();
}

void Json::reject(std::string_view code, const std::string& found, const std::string& expected,
                  const std::string& mend) const {
  document_->reject(code, position(), found, expected, mend);
}

void Json::reject_kind(const std::string& expected) const {
  static constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "an integer",
                                           "a number", "a string",  "an array",   "an object"};
  const std::string_view text = document_->text;
  const std::string source = printable(text.substr(locate(text, node_).value, kContext), kContext);
  const bool whole = is_array() || is_object();
  reject("J05", std::string(kNames[static_cast<int>(node().kind)]) + (whole ? "" : " '" + source + "'"),
         expected, "correct the value");
}

void Json::reject_range(const std::string& expected) const {
  const std::string_view text = document_->text;
  const std::size_t start = locate(text, node_).value;
  const std::size_t end = std::min(text.find_first_of(",]} \t\n\r", start), text.size());
  reject("J06", printable(text.substr(start, end - start), kContext), expected, "correct the value");
}

}  // namespace evictbench
