#include "policies/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <ranges>

#include "core/error.h"
#include "core/io/file.h"

namespace evictbench {
namespace {

constexpr std::uint64_t kMostCalibration = std::uint64_t{64} << 20;  // bytes; published files have up to 3 MB

// The whole text as a number, in the C locale whatever the machine's.
template <class T>
std::optional<T> number_in(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// "did you mean ..." where a name is near; else `otherwise`.
template <class Names>
std::string suggestion(std::string_view name, const Names& names, std::string otherwise) {
  const std::string near = nearest(name, names);
  return near.empty() ? otherwise : fmt::format("did you mean '{}'?", near);
}

}  // namespace

Options::Options(std::string policy, std::map<std::string, std::string> values, Source source)
    : policy_(std::move(policy)), values_(std::move(values)), source_(std::move(source)) {}

Options Options::parse(std::string_view spec) {
  const auto brace = spec.find('{');
  Options options{std::string(trimmed(spec.substr(0, brace)))};
  if (brace == std::string_view::npos) return options;
  const auto malformed = [&](std::string_view found) {
    options.fail("", "E-PO-04", fmt::format("'{}'", printable(found)), "name{key=value,...}",
                 "write it as in snapkv{window=16,kernel=5}");
  };
  std::string_view body = trimmed(spec.substr(brace + 1));
  if (!body.ends_with('}')) malformed(spec);
  body = trimmed(body.substr(0, body.size() - 1));
  for (bool more = !body.empty(); more;) {
    const auto comma = body.find(',');
    const std::string_view pair = body.substr(0, comma);
    const auto equals = pair.find('=');
    const std::string key(trimmed(pair.substr(0, equals)));
    if (equals == std::string_view::npos || key.empty()) malformed(pair);
    if (!options.values_.emplace(key, trimmed(pair.substr(equals + 1))).second)
      options.fail(key, "E-PO-04", fmt::format("option '{}' twice", printable(key)), "it once", "remove one");
    more = comma != std::string_view::npos;
    if (more) body.remove_prefix(comma + 1);
  }
  return options;
}

const std::string* Options::given(const std::string& key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

std::int64_t Options::whole(const std::string& key, std::int64_t fallback, std::int64_t least,
                            std::int64_t most, const std::string& unit, bool odd_only) const {
  const std::string* text = given(key);
  const auto value = text ? number_in<std::int64_t>(*text) : fallback;
  const std::string kind = odd_only ? "an odd whole number" : "a whole number";
  if (!value || *value < least || *value > most || (odd_only && *value % 2 == 0))
    fail(key, "E-PO-03", fmt::format("{} = '{}'", key, printable(*text)),
         fmt::format("{} from {} to {}", kind, least, most), fmt::format("leave it out for {}", fallback));
  asked_[key] = {fmt::format("{}", *value),
                 fmt::format("{}", fallback),
                 fmt::format("{}..{}{}", least, most, odd_only ? " odd" : ""),
                 unit,
                 {},
                 {}};
  return *value;
}

double Options::number(const std::string& key, double fallback, double least, double most) const {
  const std::string* text = given(key);
  const auto value = text ? number_in<double>(*text) : fallback;
  if (!value || !(*value >= least && *value <= most))
    fail(key, "E-PO-03", fmt::format("{} = '{}'", key, printable(*text)),
         fmt::format("a number from {} to {}", least, most), fmt::format("leave it out for {}", fallback));
  const double resolved = *value + 0.0;  // -0 is 0
  asked_[key] = {fmt::format("{}", resolved),
                 fmt::format("{}", fallback),
                 fmt::format("{}..{}", least, most),
                 "",
                 {},
                 {}};
  return resolved;
}

std::string Options::choice(const std::string& key, const std::string& fallback,
                            const std::vector<std::string>& names) const {
  const std::string* text = given(key);
  const std::string value = text ? *text : fallback;
  if (std::ranges::find(names, value) == names.end())
    fail(key, "E-PO-03", fmt::format("{} = '{}'", key, printable(value)),
         fmt::format("one of {}", fmt::join(names, ", ")),
         suggestion(value, names, fmt::format("leave it out for {}", fallback)));
  asked_[key] = {value, fallback, fmt::format("{}", fmt::join(names, "|")), "", names, {}};
  return value;
}

std::optional<Options::File> Options::file(const std::string& key, const std::string& what,
                                           bool needed) const {
  const std::string* name = given(key);
  if (!name || *name == "none") {
    asked_[key] = {"none", needed ? "needed" : "none", "a file", "", {}, needed ? what : ""};
    return std::nullopt;
  }
  if (name->empty()) fail(key, "E-PO-03", fmt::format("{} = ''", key), what, "name a file");
  const std::string path = (std::filesystem::path(source_.file).parent_path() / *name).string();
  File file{path, read_text(path, Exit::kInput, "E-HS", kMostCalibration)};
  asked_[key] = {fmt::format("xxh3:{:016x}", XXH3_64bits(file.text.data(), file.text.size())),
                 needed ? "needed" : "none",
                 "a file",
                 "",
                 {},
                 {},
                 path};
  return file;
}

void Options::reject_unknown() const {
  const auto known = std::views::keys(asked_);
  for (const auto& [key, value] : values_)
    if (!asked_.contains(key))
      fail(key, "E-PO-02", fmt::format("unknown option '{}'", printable(key)),
           asked_.empty() ? "no options" : fmt::format("one of {}", fmt::join(known, ", ")),
           suggestion(key, known, "remove it"));
}

void Options::reject_missing() const {
  for (const auto& [key, asked] : asked_)
    if (!asked.missing.empty())
      fail(key, "E-PO-05", fmt::format("no '{}'", key), asked.missing,
           fmt::format("add {}: FILE; policies/README.md says what it holds", key));
}

std::vector<ScoreFile> Options::score_files() const {
  std::vector<ScoreFile> files;
  for (const auto& [key, asked] : asked_)
    if (!asked.path.empty()) files.push_back({key, asked.path, asked.value});
  return files;
}

std::string Options::canonical() const {
  std::string text;
  for (const auto& [key, asked] : asked_)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, asked.value);
  return text.empty() ? policy_ : fmt::format("{}{{{}}}", policy_, text);
}

void Options::fail(const std::string& key, const std::string& code, const std::string& found,
                   const std::string& expected, const std::string& mend) const {
  const auto at = source_.positions.contains(key) ? source_.positions.find(key) : source_.positions.find("");
  reject(Exit::kSweep,
         {.code = code,
          .file = source_.file.empty() ? "policy " + policy_ : source_.file,
          .position = at == source_.positions.end() ? "" : at->second,
          .found = source_.file.empty() ? found : fmt::format("{} of policy {}", found, policy_),
          .expected = expected,
          .mend = mend});
}

}  // namespace evictbench
