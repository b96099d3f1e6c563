#include "harness/head_sets.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "core/io/file.h"
#include "reports/json_text.h"
#include "reports/statistics.h"

namespace evictbench {
namespace {

constexpr int kBest[] = {8, 16, 32, 64, 100};  // heads of the whole model

Options::File open(const std::string& path) { return {path, read_text(path, Exit::kInput, "E-HS")}; }

// Each head's place in its layer's order, best highest, so that two orders correlate as two lists of scores do.
std::vector<double> places(const HeadOrder& order) {
  std::vector<double> out(order.order.size());
  for (int layer = 0; layer < order.layers; ++layer)
    for (int i = 0; i < order.heads; ++i)
      out[static_cast<std::size_t>(layer * order.heads +
                                   order.order[static_cast<std::size_t>(layer * order.heads + i)])] =
          order.heads - i;
  return out;
}

template <class List>
int shared_of(const List& a, const List& b, int first, int count) {
  const auto part = [&](const List& list) {
    const auto begin = list.begin() + first;
    return std::set<int>(begin, begin + count);
  };
  const std::set<int> mine = part(a), theirs = part(b);
  return static_cast<int>(std::ranges::count_if(mine, [&](int head) { return theirs.contains(head); }));
}

}  // namespace

std::vector<int> ranking(std::span<const double> means) {
  std::vector<int> order(means.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater{}, [&](int i) { return means[static_cast<std::size_t>(i)]; });
  return order;
}

std::string scores_text(int layers, int heads, std::span<const std::vector<double>* const> trials) {
  JsonText out;
  out.open('{');
  for (int layer = 0; layer < layers; ++layer)
    for (int head = 0; head < heads; ++head) {
      out.key(fmt::format("{}-{}", layer, head)).open('[');
      for (const auto* trial : trials) out.number((*trial)[static_cast<std::size_t>(layer * heads + head)]);
      out.close();
    }
  return out.close().str() + "\n";
}

std::string order_text(const HeadOrder& order) {
  JsonText out;
  out.open('{');
  for (int layer = 0; layer < order.layers; ++layer) {
    out.key(fmt::format("{}", layer)).open('[');
    for (int i = 0; i < order.heads; ++i)
      out.integer(order.order[static_cast<std::size_t>(layer * order.heads + i)]);
    out.close();
  }
  return out.close().str() + "\n";
}

HeadSet read_head_set(const std::string& path) {
  const Options::File file = open(path);
  HeadSet set{read_head_order(file), {}};
  if (holds_head_scores(file)) set.means = read_head_scores(file).means;
  return set;
}

HeadComparison compare_heads(const HeadSet& a, const HeadSet& b, int k) {
  const int L = a.order.layers, H = a.order.heads;
  if (b.order.layers != L || b.order.heads != H)
    reject(Exit::kNotComparable,
           {"E-HD-06", b.order.file, "", fmt::format("{} layers of {} heads", b.order.layers, b.order.heads),
            fmt::format("{} layers of {} heads, as in {}", L, H, a.order.file),
            "compare files of models of one shape"});
  HeadComparison out{.layers = L,
                     .heads = H,
                     .k = std::min(k, H),
                     .shared = {},
                     .layer_correlations = {},
                     .overall = {},
                     .correlation = {}};
  const std::vector<double> x = a.means.empty() ? places(a.order) : a.means,
                            y = b.means.empty() ? places(b.order) : b.means;
  for (int layer = 0; layer < L; ++layer) {
    out.shared.push_back(shared_of(a.order.order, b.order.order, layer * H, out.k));
    const auto part = [&](const std::vector<double>& all) {
      return std::span(all).subspan(static_cast<std::size_t>(layer * H), static_cast<std::size_t>(H));
    };
    out.layer_correlations.push_back(spearman(part(x), part(y)));
  }
  out.mean_shared = std::accumulate(out.shared.begin(), out.shared.end(), 0.0) / L;
  out.by_chance = static_cast<double>(out.k) * out.k / H;
  if (a.means.empty() || b.means.empty()) return out;
  out.correlation = spearman(a.means, b.means);
  const std::vector<int> mine = ranking(a.means), theirs = ranking(b.means);
  for (const int best : kBest)
    if (best < L * H) out.overall.emplace_back(best, shared_of(mine, theirs, 0, best));
  return out;
}

}  // namespace evictbench
