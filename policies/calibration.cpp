#include "policies/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <ranges>

#include "core/io/json.h"
#include "policies/power.h"

namespace evictbench {
namespace {

constexpr double kMostScore = 1e12;
constexpr int kMostIndex = 65535;  // of a layer or head
constexpr const char* kAverage = "avg_score";

Json parse(std::string text, const std::string& path, std::size_t first_line = 1) {
  const Json json =
      Json::from_text(std::move(text), path,
                      {.exit = Exit::kInput, .code_prefix = "E-HS", .depth = 4, .first_line = first_line});
  if (!json.is_object() || json.size() == 0)
    json.reject("02", json.is_object() ? "an empty object" : "no object", "an object of scores",
                "name a score file as evictbench or the method's authors make it");
  return json;
}

Json parse(const Options::File& file) { return parse(file.text, file.path); }

// The document, or the document of each line where the first line is one already and more follow.
std::vector<Json> parse_lines(const Options::File& file) {
  const std::string& text = file.text;
  const auto end = text.find('\n');
  const bool whole = end != text.npos && text.find_last_of('}', end) != text.npos && text.front() == '{' &&
                     text.find_last_not_of(" \t\r", end - 1) == text.find_last_of('}', end);
  if (!whole || text.find_first_not_of(" \t\r\n", end) == text.npos) return {parse(file)};
  std::vector<Json> lines;
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::size_t stop = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, stop - begin);
    if (line.find_first_not_of(" \t\r") != line.npos) lines.push_back(parse(line, file.path, number));
    begin = stop + 1;
  }
  return lines;
}

// A whole number as it is written in keys: no sign, no leading zero.
std::optional<int> index_in(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = error == std::errc() && end == text.data() + text.size() && value >= 0 &&
                    value <= kMostIndex && fmt::format("{}", value) == text;
  return good ? std::optional(value) : std::nullopt;
}

// The mean of a list of scores, of which none may be negative.
double mean_of(const Json& list) {
  if (!list.is_array() || list.size() == 0)
    list.reject("04", list.is_array() ? "an empty list" : "no list", "a list with a score of every trial",
                "measure this head again, or take another file");
  double sum = 0;
  for (std::size_t i = 0; i < list.size(); ++i) sum += list[i].number(0, kMostScore);
  return sum / static_cast<double>(list.size());
}

struct Place {
  int layer = 0, head = 0;
};
// Every key once, at its place.
struct Table {
  int layers = 0, heads = 0;
  std::vector<Json> values;  // [L * H]
};

Table table_of(const Json& json, const char* form, std::optional<Place> (*place)(std::string_view)) {
  std::vector<std::pair<Place, Json>> entries;
  Table table;
  for (const auto& [key, value] : json.items()) {
    const auto at = place(key);
    if (!at)
      json.reject("02", fmt::format("the key '{}'", printable(key)), fmt::format("keys of the form {}", form),
                  "name a score file, or remove the key");
    table.layers = std::max(table.layers, at->layer + 1);
    table.heads = std::max(table.heads, at->head + 1);
    entries.emplace_back(*at, value);
  }
  // A key cannot be there twice, so a table is full if its size is right; if it is not, the first gap is named.
  std::ranges::stable_sort(entries, {}, [](const auto& e) { return std::pair(e.first.layer, e.first.head); });
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const int layer = static_cast<int>(i) / table.heads, head = static_cast<int>(i) % table.heads;
    if (entries[i].first.layer != layer || entries[i].first.head != head)
      json.reject("02", fmt::format("no key for layer {}, head {}", layer, head),
                  fmt::format("every head of {} layers of {} heads", table.layers, table.heads),
                  "the file is cut or mixed of two; take it anew");
    table.values.push_back(entries[i].second);
  }
  if (std::ssize(entries) != std::ptrdiff_t{table.layers} * table.heads)
    json.reject("02", fmt::format("{} keys", entries.size()),
                fmt::format("{} layers of {} heads", table.layers, table.heads),
                "the file is cut or mixed of two; take it anew");
  return table;
}

std::optional<Place> head_place(std::string_view key) {
  const auto dash = key.find('-');
  if (dash == key.npos) return std::nullopt;
  const auto layer = index_in(key.substr(0, dash)), head = index_in(key.substr(dash + 1));
  return layer && head ? std::optional(Place{*layer, *head}) : std::nullopt;
}

std::optional<Place> layer_place(std::string_view key) {
  const auto layer = index_in(key);
  return layer ? std::optional(Place{*layer, 0}) : std::nullopt;
}

HeadScores scores_in(const Json& json) {
  const Table table = table_of(json, "LAYER-HEAD, as \"15-30\"", head_place);
  HeadScores out{json.file(), table.layers, table.heads, {}};
  for (const Json& list : table.values) out.means.push_back(mean_of(list));
  if (!(std::accumulate(out.means.begin(), out.means.end(), 0.0) > 0))
    json.reject("06", "a score of 0 for every head", "a head that scores",
                "no trial was passed: measure again with easier ones");
  return out;
}

bool is_head_scores(const Json& json) { return json.items().front().first.find('-') != std::string::npos; }

// A permutation of 0 .. heads - 1.
std::vector<int> permutation_in(const Json& list, int heads) {
  const auto wrong = [&](const std::string& found) {
    list.reject("07", found, fmt::format("each of the heads 0..{} once, best first", heads - 1),
                "the file is damaged; take it anew");
  };
  if (static_cast<int>(list.size()) != heads) wrong(fmt::format("{} heads", list.size()));
  std::vector<int> order;
  std::vector<bool> there(static_cast<std::size_t>(heads));
  for (int i = 0; i < heads; ++i) {
    const auto head = list[static_cast<std::size_t>(i)].integer();
    if (head < 0 || head >= heads) wrong(fmt::format("head {}", head));
    if (there[static_cast<std::size_t>(head)]) wrong(fmt::format("head {} twice", head));
    there[static_cast<std::size_t>(head)] = true;
    order.push_back(static_cast<int>(head));
  }
  return order;
}

[[noreturn]] void reject_shape(const std::string& file, const std::string& found, const KvShape& shape) {
  reject(Exit::kInput, {.code = "E-HS-03",
                        .file = file,
                        .position = "",
                        .found = found,
                        .expected = fmt::format("{} layers of {} query heads, as the model has", shape.layers,
                                                shape.q_heads),
                        .mend = "name the file that was measured on this model"});
}

void check_heads(const std::string& file, int layers, int heads, const KvShape& shape) {
  if (layers != shape.layers || heads != shape.q_heads)
    reject_shape(file, fmt::format("{} layers of {} heads", layers, heads), shape);
}

std::vector<double> layer_list(const Json& list) {
  if (!list.is_array() || list.size() == 0)
    list.reject("09", list.is_array() ? "an empty list" : "no list", "a list with a score of every layer",
                "take the file anew");
  std::vector<double> scores;
  for (std::size_t i = 0; i < list.size(); ++i) scores.push_back(list[i].number(0, kMostScore));
  return scores;
}

// Sums within a millionth of 1 are rounding, and left as they are.
void scale_to_one(std::vector<double>& scores, const Json& from) {
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  if (!(sum > 0))
    from.reject("06", "a score of 0 for every layer", "a layer that scores", "measure the layers again");
  if (std::abs(sum - 1) > 1e-6)
    for (double& score : scores) score /= sum;
}

DatasetScores dataset_scores_in(const std::vector<Json>& documents) {
  DatasetScores out;
  for (const Json& json : documents)
    for (const auto& [dataset, list] : json.items()) {
      if (dataset == kAverage) continue;
      std::vector<double> scores = layer_list(list);
      scale_to_one(scores, list);
      if (std::ranges::count(std::views::keys(out), dataset))
        list.reject("10", fmt::format("'{}' a second time", printable(dataset)), "every dataset once",
                    "remove one of the lines");
      if (!out.empty() && scores.size() != out[0].second.size())
        list.reject("09", fmt::format("{} layers", scores.size()),
                    fmt::format("{}, as in the lists before", out[0].second.size()), "take the file anew");
      out.emplace_back(dataset, std::move(scores));
    }
  return out;
}

}  // namespace

HeadScores read_head_scores(const Options::File& file) {
  const Json json = parse(file);
  if (!is_head_scores(json))
    json.reject("02", fmt::format("the key '{}'", printable(json.items().front().first)),
                "keys of the form LAYER-HEAD, as \"15-30\"",
                "an order of heads has no scores: name the file that it was made from");
  return scores_in(json);
}

bool holds_head_scores(const Options::File& file) { return is_head_scores(parse(file)); }

HeadOrder read_head_order(const Options::File& file) {
  const Json json = parse(file);
  if (is_head_scores(json)) {
    const HeadScores scores = scores_in(json);
    HeadOrder out{scores.file, scores.layers, scores.heads, {}};
    for (int layer = 0; layer < out.layers; ++layer) {
      std::vector<int> order(static_cast<std::size_t>(out.heads));
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, std::greater{}, [&](int head) {
        return scores.means[static_cast<std::size_t>(layer * out.heads + head)];
      });
      out.order.insert(out.order.end(), order.begin(), order.end());
    }
    return out;
  }
  const Table table = table_of(json, "LAYER, as \"15\"", layer_place);
  HeadOrder out{json.file(), table.layers, 0, {}};
  for (const Json& list : table.values) {
    if (!list.is_array() || list.size() == 0)
      list.reject("07", list.is_array() ? "an empty list" : "no list", "a list of heads, best first",
                  "take the file anew");
    if (out.heads == 0) out.heads = static_cast<int>(list.size());
    const auto order = permutation_in(list, out.heads);
    out.order.insert(out.order.end(), order.begin(), order.end());
  }
  return out;
}

LayerScores read_layer_scores(const Options::File& file) {
  const Json json = parse(file);
  const auto average = json.find(kAverage);
  if (!average) return {json.file(), average_of(dataset_scores_in({json}))};
  LayerScores out{json.file(), layer_list(*average)};
  scale_to_one(out.scores, *average);
  return out;
}

DatasetScores read_dataset_scores(const Options::File& file) {
  const std::vector<Json> documents = parse_lines(file);
  DatasetScores out = dataset_scores_in(documents);
  if (out.empty())
    documents.front().reject("09", "an average alone", "lists of datasets",
                             "name the files that it was made of");
  return out;
}

std::vector<double> average_of(const DatasetScores& datasets) {
  std::vector<double> mean(datasets.at(0).second.size());
  for (const auto& [dataset, scores] : datasets)
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += scores.at(i);
  for (double& score : mean) score /= static_cast<double>(datasets.size());
  return mean;
}

std::vector<double> HeadScores::lane_weights(const KvShape& shape, double temperature) const {
  check_heads(file, layers, heads, shape);
  const double all = std::accumulate(means.begin(), means.end(), 0.0);
  std::vector<double> weights;  // [L * H]
  for (const double mean : means) weights.push_back(power(mean / all, temperature));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> lanes(static_cast<std::size_t>(shape.lanes()));
  for (std::size_t i = 0; i < weights.size(); ++i)
    lanes[i / static_cast<std::size_t>(shape.group())] += weights[i] / sum;
  return lanes;
}

std::vector<int> HeadOrder::best(const KvShape& shape, int k) const {
  check_heads(file, layers, heads, shape);
  if (k > heads)
    reject(Exit::kInput, {.code = "E-HS-08",
                          .file = file,
                          .position = "",
                          .found = fmt::format("{} heads wanted of each layer", k),
                          .expected = fmt::format("at most {}, as the model has", heads),
                          .mend = "lower the option 'heads'"});
  std::vector<int> best;
  for (int layer = 0; layer < layers; ++layer)
    for (int i = 0; i < k; ++i) best.push_back(order[static_cast<std::size_t>(layer * heads + i)]);
  return best;
}

const std::vector<double>& LayerScores::of(const KvShape& shape) const {
  if (std::ssize(scores) != shape.layers)
    reject_shape(file, fmt::format("scores of {} layers", scores.size()), shape);
  return scores;
}

}  // namespace evictbench
