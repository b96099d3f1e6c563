#include "harness/yaml.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "harness/yaml_node.h"

namespace evictbench {

namespace {

bool is_plain_integer(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool digits = !text.empty() && std::ranges::all_of(text, [](char c) { return '0' <= c && c <= '9'; });
  return digits && (text.size() == 1 || text[0] != '0');
}

// Decimal, with a point or an exponent if need be; what some YAML reader takes for another base is not one.
std::optional<double> plain_number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool octal = text.size() > 1 && text[0] == '0' && '0' <= text[1] && text[1] <= '9';
  return octal ? std::nullopt : std::optional(value);
}

std::string number_text(double value) { return fmt::format("{}", value); }

}  // namespace

std::string Yaml::Node::path() const {
  const Node* node = this;
  std::vector<std::string> parts;
  for (; node->parent; node = node->parent) {
    if (node->parent->kind == Kind::kMap) {
      parts.push_back((node->parent->parent ? "." : "") + printable(node->key, 40));
    } else {
      const auto& siblings = node->parent->children;
      const auto at = std::ranges::find(siblings, node, [](const auto& child) { return child.get(); });
      parts.push_back(fmt::format("[{}]", at - siblings.begin()));
    }
  }
  std::ranges::reverse(parts);
  return fmt::format("{}", fmt::join(parts, ""));
}

std::string yaml_place(int line, int column, const std::string& path) {
  std::string out = line > 0 ? fmt::format("{}:{}", line, column) : "(--set)";
  if (!path.empty()) out += " " + path;
  return out;
}

Yaml::Yaml(std::shared_ptr<Document> document, const Node* node)
    : document_(std::move(document)), node_(node) {}

// The place in `at` that one step of a --set path names; a key that a map lacks is added.
std::unique_ptr<Yaml::Node>& Yaml::slot(Node& at, const std::string& step, const std::string& path) {
  const auto fail = [&](const std::string& found, const std::string& expected) {
    evictbench::reject(Exit::kSweep,
                       {ym::kSet, "--set " + printable(path, 200), "", found, expected, "correct the path"});
  };
  auto& children = at.children;
  if (at.kind == Node::Kind::kList) {
    std::size_t index = 0;
    const auto [stop, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (error != std::errc() || stop != step.data() + step.size() || index >= children.size())
      fail(fmt::format("\"{}\" names no element of a list of {}", printable(step), children.size()),
           children.empty() ? "a list with elements"
                            : fmt::format("a number from 0 to {}", children.size() - 1));
    return children[index];
  }
  if (at.kind != Node::Kind::kMap)
    fail(fmt::format("\"{}\" would stand inside a single value", printable(step)),
         "a path through lists and maps of the file");
  if (step.empty()) fail("the path has an empty step", "keys between dots");
  const auto found = std::ranges::find(children, step, [](const auto& child) { return child->key; });
  if (found != children.end()) return *found;
  auto& added = children.emplace_back(std::make_unique<Node>());
  added->kind = Node::Kind::kMap;
  added->key = step;
  added->parent = &at;
  return added;
}

void Yaml::set(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  const std::string path = assignment.substr(0, equals);
  if (equals == assignment.npos || equals == 0)
    evictbench::reject(Exit::kUsage,
                       {ym::kSet, "--set " + printable(assignment, 200), "", "no \"path=value\"",
                        "a path, an equals sign and a value", "write for instance policies.0.window=8"});
  const Yaml parsed = from_text(assignment.substr(equals + 1), "--set " + path);
  std::unique_ptr<Node> value = std::move(parsed.document_->root);
  const auto unplace = [](auto& self, Node& node) -> void {
    node.line = node.key_line = 0;
    for (auto& child : node.children) self(self, *child);
  };
  unplace(unplace, *value);

  Node* at = document_->root.get();
  for (std::size_t begin = 0;;) {
    const std::size_t dot = path.find('.', begin);
    auto& named = slot(*at, path.substr(begin, dot - begin), path);
    if (dot == path.npos) {
      value->key = named->key;
      value->parent = at;
      named = std::move(value);
      return;
    }
    at = named.get();
    begin = dot + 1;
  }
}

bool Yaml::is_null() const { return node_->kind == Node::Kind::kNull; }
bool Yaml::is_scalar() const { return node_->kind == Node::Kind::kScalar; }
bool Yaml::is_list() const { return node_->kind == Node::Kind::kList; }
bool Yaml::is_map() const { return node_->kind == Node::Kind::kMap; }
bool Yaml::is_quoted() const { return node_->quoted; }

Yaml Yaml::child(const Node& node) const { return {document_, &node}; }
const std::string& Yaml::file() const { return document_->file; }
std::string Yaml::path() const { return node_->path(); }
std::string Yaml::position() const { return yaml_place(node_->line, node_->column, path()); }
std::string Yaml::key_position() const {
  return node_->key.empty() ? position() : yaml_place(node_->key_line, node_->key_column, path());
}
std::string Yaml::line() const { return node_->line > 0 ? fmt::format("line {}", node_->line) : "--set"; }

void Yaml::reject(const char* code, const std::string& found, const std::string& expected,
                  const std::string& mend) const {
  evictbench::reject(Exit::kSweep, {code, file(), position(), found, expected, mend});
}

const Yaml::Node& Yaml::scalar(const char* expected) const {
  if (is_list() || is_map())
    reject(ym::kKind, is_list() ? "a list" : "a map", expected, "write one value here");
  if (is_null()) reject(ym::kScalar, "no value", expected, "write the value, or remove the key");
  return *node_;
}

std::int64_t Yaml::integer(std::int64_t least, std::int64_t most) const {
  const std::string& written = scalar("an integer").text;
  const std::string found = fmt::format("\"{}\"", printable(written));
  const auto value = plain_number(written);
  if (is_quoted()) reject(ym::kScalar, found + " in quotes", "an integer", "remove the quotes");
  if (!is_plain_integer(written)) {
    const bool whole = value && *value == std::floor(*value) && std::abs(*value) < 1e15;
    reject(
        ym::kScalar, found + " is not plainly an integer", "an integer in decimal digits",
        whole ? fmt::format("write {:.0f}", *value) : "write it without base, exponent, point or underscore");
  }
  std::int64_t out = 0;
  const auto [stop, error] = std::from_chars(written.data(), written.data() + written.size(), out);
  if (error != std::errc() || out < least || out > most)
    reject(ym::kRange, found + " is out of range", fmt::format("an integer from {} to {}", least, most),
           "choose a value in this range");
  return out;
}

double Yaml::number(double least, double most) const {
  const std::string& written = scalar("a number").text;
  const std::string found = fmt::format("\"{}\"", printable(written));
  const auto value = plain_number(written);
  if (is_quoted()) reject(ym::kScalar, found + " in quotes", "a number", "remove the quotes");
  if (!value)
    reject(ym::kScalar, found + " is not plainly a number", "a finite decimal number",
           "write it as in 0.5, without per cent sign or underscore");
  if (*value < least || *value > most)
    reject(ym::kRange, found + " is out of range",
           fmt::format("a number from {} to {}", number_text(least), number_text(most)),
           "choose a value in this range");
  return *value;
}

bool Yaml::boolean() const {
  const std::string& written = scalar("true or false").text;
  if (is_quoted() || (written != "true" && written != "false"))
    reject(ym::kScalar, fmt::format("\"{}\"{}", printable(written), is_quoted() ? " in quotes" : ""),
           "true or false", "write true or false, in lower case and without quotes");
  return written == "true";
}

const std::string& Yaml::text() const { return scalar("a text").text; }

const std::string& Yaml::plain() const {
  const std::string& written = scalar("a number or a text").text;
  const std::string found = fmt::format("\"{}\"", printable(written));
  const bool numeric = plain_number(written).has_value();
  if (is_quoted() && numeric) reject(ym::kScalar, found + " in quotes", "a number", "remove the quotes");
  const std::size_t sign = written.starts_with('-') || written.starts_with('+') ? 1 : 0;
  const bool digit = written.size() > sign && '0' <= written[sign] && written[sign] <= '9';
  if (!is_quoted() && digit && !numeric)
    reject(ym::kScalar, found + " is not plainly a number", "a finite decimal number or a text",
           "write it in decimal digits, without leading zero, base, colon or underscore");
  return written;
}

const std::string& Yaml::choice(const std::vector<std::string>& from) const {
  const std::string& written = scalar("a text").text;
  if (std::ranges::find(from, written) == from.end()) {
    const std::string near = nearest(written, from);
    reject(ym::kUnavailable, fmt::format("unknown value \"{}\"", printable(written)),
           fmt::format("one of {}", fmt::join(from, ", ")),
           near.empty() ? "choose one of these" : fmt::format("did you mean {}?", near));
  }
  return written;
}

std::vector<Yaml> Yaml::elements() const {
  if (!is_list()) return {*this};
  std::vector<Yaml> out;
  for (const auto& node : node_->children) out.push_back(child(*node));
  return out;
}

void Yaml::expect_map() const {
  if (!is_map())
    reject(ym::kKind,
           is_list()   ? "a list"
           : is_null() ? "no value"
                       : "a single value",
           "a map of keys and values", "write \"key: value\" lines or {key: value}");
}

std::vector<std::pair<std::string, Yaml>> Yaml::items() const {
  expect_map();
  std::vector<std::pair<std::string, Yaml>> out;
  for (const auto& node : node_->children) out.emplace_back(node->key, child(*node));
  return out;
}

std::optional<Yaml> Yaml::find(std::string_view key) const {
  expect_map();
  for (const auto& node : node_->children)
    if (node->key == key) return child(*node);
  return std::nullopt;
}

Yaml Yaml::at(std::string_view key) const {
  if (auto found = find(key)) return *found;
  reject(ym::kAbsent, fmt::format("\"{}\" is absent", key), "this key", fmt::format("add \"{}:\"", key));
}

void Yaml::only(const std::vector<std::string>& keys) const {
  for (const auto& [key, value] : items()) {
    if (std::ranges::find(keys, key) != keys.end()) continue;
    const std::string near = nearest(key, keys);
    evictbench::reject(Exit::kSweep,
                       {ym::kUnknownKey, file(), value.key_position(), "unknown key",
                        fmt::format("one of {}", fmt::join(keys, ", ")),
                        near.empty() ? "remove the key" : fmt::format("did you mean {}?", near)});
  }
}

}  // namespace evictbench
