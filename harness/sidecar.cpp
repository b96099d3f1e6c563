#include "harness/sidecar.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "core/io/file.h"
#include "core/io/json.h"
#include "harness/output_folder.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 1;
constexpr std::int64_t kMostTrials = std::int64_t{1} << 40;
constexpr int kMostIndex = 65536;  // layers, heads
const JsonRules kRules{
    .exit = Exit::kInput, .code_prefix = "E-SD", .depth = 4, .bytes = std::uint64_t{64} << 20};

constexpr std::array kKinds{ScoreKind::kCopy, ScoreKind::kSemantic, ScoreKind::kSemanticMultiplicity,
                            ScoreKind::kReasoning, ScoreKind::kLayerError};

void only(const Json& object, const std::set<std::string, std::less<>>& known) {
  for (const auto& [key, value] : object.items())
    if (!known.contains(key))
      object.reject("02", fmt::format("the key \"{}\"", printable(key)),
                    fmt::format("keys of a sidecar of version {}", kVersion),
                    "measure the scores again, or remove the sidecar to use the file as a published one");
}

std::string hex(const Json& from, std::size_t digits, std::string_view before = "") {
  const std::string& text = from.string();
  const bool good = text.size() == before.size() + digits && text.starts_with(before) &&
                    text.find_first_not_of("0123456789abcdef", before.size()) == text.npos;
  if (!good)
    from.reject("03", fmt::format("\"{}\"", printable(text)), fmt::format("{}{} hex digits", before, digits),
                "measure the scores again");
  return text;
}

ScoreKind kind_of(const Json& from) {
  const std::string& text = from.string();
  std::string names;
  for (const ScoreKind kind : kKinds) {
    if (text == name_of(kind)) return kind;
    names += (names.empty() ? "" : ", ") + std::string(name_of(kind));
  }
  from.reject("04", fmt::format("the kind \"{}\"", printable(text)), "one of " + names,
              "measure the scores again");
}

Sidecar::Facts facts_in(const Json& object) {
  Sidecar::Facts facts;
  for (const auto& [name, value] : object.items()) facts.emplace_back(name, value.string());
  return facts;
}

void add_facts(JsonText& out, const char* name, const Sidecar::Facts& facts) {
  out.key(name).open('{');
  for (const auto& [key, value] : facts) out.key(key).text(value);
  out.close();
}

std::string text_of(const Sidecar& s) {
  JsonText out(1);
  out.open('{').key("sidecar").integer(kVersion).key("program").text(s.program);
  out.key("kind").text(name_of(s.kind)).key("scores").text(s.scores);
  out.key("model").open('{').key("name").text(s.model.name).key("hash").text(s.model.hash);
  out.key("layers").integer(s.model.layers).key("heads").integer(s.model.heads).close();
  add_facts(out, "method", s.method);
  add_facts(out, "data", s.data);
  out.key("trials").open('{').key("made").integer(s.made).key("accepted").integer(s.accepted).close();
  out.key("examples").open('[');
  for (const std::string& example : s.examples) out.text(example);
  return out.close().close().str() + "\n";
}

Sidecar sidecar_in(const Json& json) {
  if (const Json version = json.at("sidecar"); version.integer() != kVersion)
    version.reject("01", fmt::format("a sidecar of version {}", version.integer()),
                   fmt::format("version {}", kVersion),
                   "use the program that wrote it, or measure the scores again");
  only(json, {"sidecar", "program", "kind", "scores", "model", "method", "data", "trials", "examples"});
  const Json model = json.at("model"), trials = json.at("trials"), examples = json.at("examples");
  only(model, {"name", "hash", "layers", "heads"});
  only(trials, {"made", "accepted"});
  Sidecar out{.kind = kind_of(json.at("kind")),
              .model = {model.at("name").string(), hex(model.at("hash"), 32),
                        static_cast<int>(model.at("layers").integer(1, kMostIndex)),
                        static_cast<int>(model.at("heads").integer(1, kMostIndex))},
              .method = facts_in(json.at("method")),
              .data = facts_in(json.at("data")),
              .examples = {},
              .made = trials.at("made").integer(0, kMostTrials),
              .accepted = 0,
              .scores = hex(json.at("scores"), 16, "xxh3:"),
              .program = json.at("program").string()};
  out.accepted = trials.at("accepted").integer(0, out.made);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    out.examples.push_back(hex(examples[i], 16));
    if (i > 0 && out.examples[i] <= out.examples[i - 1])
      examples[i].reject("05", fmt::format("\"{}\" after \"{}\"", out.examples[i], out.examples[i - 1]),
                         "hashes in ascending order, each once", "measure the scores again");
  }
  return out;
}

}  // namespace

const char* name_of(ScoreKind kind) {
  switch (kind) {
    case ScoreKind::kCopy:
      return "copy";
    case ScoreKind::kSemantic:
      return "semantic";
    case ScoreKind::kSemanticMultiplicity:
      return "semantic_multiplicity";
    case ScoreKind::kReasoning:
      return "reasoning";
    case ScoreKind::kLayerError:
      break;
  }
  return "layer_error";
}

ModelMark mark_of(const Checkpoint& checkpoint,
                  const std::vector<std::pair<std::string, std::string>>& digests) {
  static const std::set<std::string> kText{"generation_config.json", "tokenizer.json", "tokenizer.model",
                                           "tokenizer_config.json", "chat_template.jinja"};
  std::string all;
  for (const auto& [file, digest] : digests)
    if (!kText.contains(file)) all += file + " " + digest + "\n";
  const XXH128_hash_t hash = XXH3_128bits(all.data(), all.size());
  std::error_code ignored;
  const fs::path path = fs::weakly_canonical(checkpoint.path(), ignored);
  return {path.filename().string(), fmt::format("{:016x}{:016x}", hash.high64, hash.low64),
          checkpoint.config().layers, checkpoint.config().q_heads};
}

std::string example_hash(std::string_view context, std::string_view question) {
  std::string both(context);
  both += '\0';
  both += question;
  return fmt::format("{:016x}", XXH3_64bits(both.data(), both.size()));
}

std::string score_hash(std::string_view text) {
  return fmt::format("xxh3:{:016x}", XXH3_64bits(text.data(), text.size()));
}

std::string sidecar_path(const std::string& score_file) { return score_file + ".meta.json"; }

void write_scores(const std::string& score_file, std::string_view text, Sidecar sidecar) {
  sidecar.scores = score_hash(text);
  sidecar.program = EVICTBENCH_VERSION;
  std::ranges::sort(sidecar.examples);
  sidecar.examples.erase(std::ranges::unique(sidecar.examples).begin(), sidecar.examples.end());
  if (!is_stream(score_file)) write_file(sidecar_path(score_file), text_of(sidecar));
  write_file(score_file, text);
}

std::optional<Sidecar> read_sidecar(const std::string& score_file) {
  const std::string path = sidecar_path(score_file);
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return std::nullopt;
  return sidecar_in(Json::from_file(path, kRules));
}

}  // namespace evictbench
