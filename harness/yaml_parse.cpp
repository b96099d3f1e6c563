#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <utility>

#include "core/io/file.h"
#include "harness/yaml_node.h"

namespace evictbench {
namespace {

// What yaml-cpp would take in silence: bytes that end its input, and tabs that may or may not indent.
void refuse_bytes(std::string_view text, const std::string& file) {
  const auto fail = [&](int line, std::size_t column, const std::string& found, const char* mend) {
    reject(Exit::kSweep, {ym::kSyntax, file, fmt::format("{}:{}", line, column), found,
                          "UTF-8 text indented with spaces", mend});
  };
  const std::size_t invalid = invalid_utf8(text);
  int line = 1;
  std::size_t begin = 0;
  bool indenting = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (i == invalid)
      fail(line, i - begin + 1, fmt::format("byte 0x{:02x} is not UTF-8", byte), "save the file as UTF-8");
    if ((byte < 0x20 && c != '\n' && c != '\t' && c != '\r') || byte == 0x7f)
      fail(line, i - begin + 1, fmt::format("control character 0x{:02x}", byte), "remove it");
    if (c == '\t' && indenting) fail(line, i - begin + 1, "a tab indents this line", "use spaces");
    indenting = c == '\n' || (indenting && (c == ' ' || c == '\t'));
    if (c == '\n') {
      ++line;
      begin = i + 1;
    }
  }
}

}  // namespace

// Builds the tree from events; aliases are written out, and counted first.
struct Yaml::Builder : YAML::EventHandler {
  using Kind = Node::Kind;
  explicit Builder(Document& to) : document(to) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started)
      fail(ym::kDocuments, mark, "another document begins here, or a line that does not fit the one before",
           "one document", "keep one document, and look at the indent of this line");
    started = true;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(mark, anchor, Kind::kNull, "", "?");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag != "?" && tag != "!") fail_tag(mark, tag);
    if (tag == "!") last_quoted = mark;
    scalar(mark, anchor, Kind::kScalar, value, tag);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::kMap);
  }
  void OnMapEnd() override { close(); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (key_is_due()) fail_key(mark, "an alias");
    const auto known = anchors.find(anchor);
    if (known == anchors.end())
      fail(ym::kAlias, mark, "this alias stands inside what it names", "an alias of something complete",
           "write the value out");
    add(copy(*known->second, static_cast<int>(stack.size()), mark), mark);
  }

  void scalar(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind, const std::string& value,
              const std::string& tag) {
    if (key_is_due()) return take_key(mark, kind, value, tag == "!");
    if (invalid_utf8(value) != value.npos)
      fail(ym::kSyntax, mark, "an escape makes text that is not UTF-8", "Unicode text", "correct the escape");
    count(value.size(), mark);
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->text = value;
    node->quoted = tag == "!";
    remember(anchor, add(std::move(node), mark));
  }

  void take_key(const YAML::Mark& mark, Kind kind, const std::string& key, bool quoted) {
    if (kind == Kind::kNull) fail_key(mark, "no text");
    if (key == "<<" && !quoted)
      fail(ym::kMerge, mark, "the merge key \"<<\" is not supported", "plain keys", "write the keys out");
    for (const auto& child : stack.back()->children)
      if (child->key == key)
        fail(ym::kDuplicateKey, mark,
             fmt::format("the key \"{}\" stands here and in line {}", printable(key), child->key_line),
             "every key once", "remove one of the two lines");
    count(key.size(), mark);
    pending_key = key;
    pending_mark = mark;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    if (!tag.empty() && tag != "?") fail_tag(mark, tag);
    if (key_is_due()) fail_key(mark, kind == Kind::kMap ? "a map" : "a list");
    if (stack.size() >= kMostDepth) fail_depth(mark);
    count(0, mark);
    auto node = std::make_unique<Node>();
    node->kind = kind;
    stack.push_back(add(std::move(node), mark));
    opened.push_back(anchor);
  }

  void close() {
    remember(opened.back(), stack.back());
    opened.pop_back();
    stack.pop_back();
  }

  // Hangs `node` where the parser stands; a null stands where its key does, for lack of a place of its own.
  Node* add(std::unique_ptr<Node> node, const YAML::Mark& mark) {
    if (node->line == 0) {
      node->line = mark.line + 1;
      node->column = mark.column + 1;
    }
    Node* added = node.get();
    if (stack.empty()) {
      document.root = std::move(node);
      return added;
    }
    if (pending_key) {
      node->key = *std::exchange(pending_key, std::nullopt);
      node->key_line = pending_mark.line + 1;
      node->key_column = pending_mark.column + 1;
      if (node->kind == Kind::kNull) {
        node->line = node->key_line;
        node->column = node->key_column;
      }
    }
    node->parent = stack.back();
    stack.back()->children.push_back(std::move(node));
    return added;
  }

  std::unique_ptr<Node> copy(const Node& from, int depth, const YAML::Mark& mark) {
    if (depth >= kMostDepth && !from.children.empty()) fail_depth(mark);
    count(from.text.size() + from.key.size(), mark);
    auto to = std::make_unique<Node>();
    to->kind = from.kind;
    to->text = from.text;
    to->quoted = from.quoted;
    to->line = from.line;
    to->column = from.column;
    to->key = from.key;
    to->key_line = from.key_line;
    to->key_column = from.key_column;
    for (const auto& child : from.children) {
      to->children.push_back(copy(*child, depth + 1, mark));
      to->children.back()->parent = to.get();
    }
    return to;
  }

  void remember(YAML::anchor_t anchor, const Node* node) {
    if (anchor != YAML::NullAnchor) anchors[anchor] = node;
  }

  // yaml-cpp lets a quoted text that was never closed end with the file, and swallow all that follows it.
  void refuse_open_quote(std::string_view text) const {
    if (!last_quoted) return;
    const std::size_t begin = text.find_first_of("\"'", static_cast<std::size_t>(last_quoted->pos));
    if (begin == text.npos) return;
    const char quote = text[begin];
    std::size_t at = begin + 1;
    for (; at < text.size(); ++at) {
      if (quote == '"' && text[at] == '\\')
        ++at;
      else if (text[at] == quote && quote == '\'' && at + 1 < text.size() && text[at + 1] == quote)
        ++at;
      else if (text[at] == quote)
        return;
    }
    fail(ym::kSyntax, *last_quoted, "this quoted text has no end", "a closing quote", "close it");
  }

  bool key_is_due() const { return !stack.empty() && stack.back()->kind == Kind::kMap && !pending_key; }

  void count(std::uint64_t more_bytes, const YAML::Mark& mark) {
    bytes += more_bytes;
    if (++nodes > kMostNodes || bytes > kMostBytes)
      fail(ym::kAlias, mark, "the file grows too large here, aliases written out",
           fmt::format("at most {} values and {} bytes of text", kMostNodes, kMostBytes),
           "use fewer aliases or smaller lists");
  }

  [[noreturn]] void fail(const char* code, const YAML::Mark& mark, const std::string& found,
                         const std::string& expected, const std::string& mend) const {
    std::string path = stack.empty() ? "" : stack.back()->path();
    if (pending_key) path += (path.empty() ? "" : ".") + printable(*pending_key, 40);
    evictbench::reject(Exit::kSweep, {code, document.file, yaml_place(mark.line + 1, mark.column + 1, path),
                                      found, expected, mend});
  }
  [[noreturn]] void fail_tag(const YAML::Mark& mark, const std::string& tag) const {
    fail(ym::kTag, mark, fmt::format("the tag \"{}\" is not supported", printable(tag)), "a plain value",
         "remove the tag");
  }
  [[noreturn]] void fail_key(const YAML::Mark& mark, const char* what) const {
    fail(ym::kKind, mark, fmt::format("{} stands where a key is due", what), "a key of plain text",
         "write \"key: value\", or close the bracket if no key is meant");
  }
  [[noreturn]] void fail_depth(const YAML::Mark& mark) const {
    fail(ym::kAlias, mark, "lists and maps are nested too deep here",
         fmt::format("a depth of at most {}", kMostDepth), "flatten the file");
  }

  Document& document;
  bool started = false;
  std::vector<Node*> stack;                       // open lists and maps
  std::vector<YAML::anchor_t> opened;             // their anchors
  std::map<YAML::anchor_t, const Node*> anchors;  // of what is complete
  std::optional<std::string> pending_key;
  YAML::Mark pending_mark;
  std::optional<YAML::Mark> last_quoted;
  int nodes = 0;
  std::uint64_t bytes = 0;
};

Yaml Yaml::from_file(const std::string& path) {
  return from_text(read_text(path, Exit::kSweep, "E-YM", kMostBytes), path);
}

Yaml Yaml::from_text(const std::string& text, const std::string& file_name) {
  if (text.size() > kMostBytes)
    evictbench::reject(Exit::kSweep, {ym::kAlias, file_name, "", fmt::format("{} bytes", text.size()),
                                      fmt::format("at most {} bytes", kMostBytes), "use a smaller file"});
  refuse_bytes(text, file_name);
  auto document = std::make_shared<Document>();
  document->file = file_name;
  const std::string content = text.substr(text.starts_with("\xef\xbb\xbf") ? 3 : 0);  // the byte order mark
  std::istringstream stream(content);
  try {
    YAML::Parser parser(stream);
    Builder builder(*document);
    while (parser.HandleNextDocument(builder)) {
    }
    builder.refuse_open_quote(content);
  } catch (const YAML::Exception& error) {
    const bool alias = error.msg.starts_with("the referenced anchor is not defined");
    evictbench::reject(
        Exit::kSweep,
        {alias ? ym::kAlias : ym::kSyntax, file_name,
         fmt::format("{}:{}", error.mark.line + 1, error.mark.column + 1), printable(error.msg, 200),
         alias ? "an alias of an anchor above it" : "YAML",
         alias ? "define the anchor first, or write the value out"
               : "correct this line; look for a missing bracket, quote or space after a colon"});
  }
  if (!document->root || document->root->kind == Node::Kind::kNull)
    evictbench::reject(Exit::kSweep,
                       {ym::kCount, file_name, "1:1", "nothing is written here", "a value", "write one"});
  const Node* root = document->root.get();
  return {std::move(document), root};
}

}  // namespace evictbench
