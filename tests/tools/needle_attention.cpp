// needle_attention SWEEP [KEY=VALUE]...: which heads look at the answer's tokens in the needle, and when. For each task's
// first protocol and every example it tells, token by token of the answer,
//   due    the attention that the query which must produce this token pays to it, in the head that pays most
//   read   the most that any query of the last 32 of the prompt pays to it, in that same head
//   heads  how many heads pay at least 0.1 when due, and
//   kept   the share of the prompt at which SnapKV keeps the token in half of the lanes of these heads.
// The answer is fed as it stands in the needle, so a model that errs is looked at all the same.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "core/cpu/device.h"
#include "harness/prepared.h"
#include "policies/registry.h"

namespace {

using namespace evictbench;

constexpr int kWindow = 32, kSteps = 50;
constexpr float kLooks = 0.1f;

// Where the answer stands in the needle: positions of the prompt, one per token of " answer".
std::vector<int> places_of(const Tokens& prompt, const Tokens& answer) {
  const auto at = std::ranges::search(prompt, answer);
  std::vector<int> places;
  for (auto i = at.begin(); i != at.end(); ++i) places.push_back(static_cast<int>(i - prompt.begin()));
  return places;
}

struct Looks {
  std::vector<std::vector<float>> read, due;  // [answer tokens][L * H]
};

Looks look(Device& device, const Model& model, const Tokens& prompt, const Tokens& answer,
           const std::vector<int>& places, std::shared_ptr<const Snapshot>& snapshot, const Needs& needs) {
  const KvShape s = model.shape(static_cast<int>(prompt.size()));
  const std::vector<float> none(static_cast<std::size_t>(s.layers * s.q_heads));
  Looks looks{std::vector(places.size(), none), std::vector(places.size(), none)};
  const AttentionTap tap{.row =
                             [&](const AttentionRow& row) {
                               const auto head = static_cast<std::size_t>(row.layer * s.q_heads + row.head);
                               for (std::size_t i = 0; i < places.size(); ++i) {
                                 const float paid = row.probabilities[static_cast<std::size_t>(places[i])];
                                 const int before = s.tokens - 1 - row.position;
                                 if (before >= 0 && before < kWindow)
                                   looks.read[i][head] = std::max(looks.read[i][head], paid);
                                 if (before == -static_cast<int>(i)) looks.due[i][head] = paid;
                               }
                             },
                         .queries = {}};
  const PassOptions watched{.tap = &tap, .all_logits = {}, .checkpoint = {}};
  snapshot = model.prefill(device, prompt, needs, {});
  // The last queries once more, watched, and then the answer: all from a cache that holds everything before them.
  const int from = std::max(1, s.tokens - kWindow);
  const Kept everything{Selection::everything(s.layers, s.kv_heads, s.tokens), {}, {}};
  Tokens fed(prompt.begin() + from, prompt.end());
  fed.insert(fed.end(), answer.begin(), answer.end() - 1);
  RaggedCache cache(snapshot, std::span(&everything, 1), from, static_cast<int>(fed.size()));
  model.extend(device, cache, std::span(&fed, 1), watched);
  return looks;
}

// The share of the prompt from which on SnapKV keeps a slot, for every lane.
std::vector<double> shares_of(const Policy& policy, const Snapshot& snapshot, int slot) {
  const KvShape& s = snapshot.shape();
  std::vector<Budget> budgets;
  for (int step = 1; step <= kSteps; ++step)
    budgets.push_back(Budget::of_ratio(static_cast<double>(step) / kSteps, s));
  const std::vector<Kept> kept = policy.select(snapshot.observation, budgets);
  std::vector<double> shares(static_cast<std::size_t>(s.lanes()), 1);
  for (int step = kSteps; step >= 1; --step)
    for (int lane = 0; lane < s.lanes(); ++lane)
      if (std::ranges::binary_search(kept[static_cast<std::size_t>(step - 1)].selection.lane(lane), slot))
        shares[static_cast<std::size_t>(lane)] = static_cast<double>(step) / kSteps;
  return shares;
}

void tell(const Prepared& run, const PlanTask& task, const Example& example, Device& device,
          const Model& model, const Policy& policy) {
  const Tokenizer& tokenizer = run.checkpoint.tokenizer();
  Tokens prompt = run.prompt_of(example).context;
  const Tokens question = run.prompt_of(example).question;
  prompt.insert(prompt.end(), question.begin(), question.end());
  const Tokens answer = tokenizer.encode(" " + example.answers.front(), {.add_special = false});
  const std::vector<int> places = places_of(prompt, answer);
  if (places.empty()) {
    fmt::print("{} {}: the answer's tokens are not in the prompt\n", task.id, example.id);
    return;
  }
  std::shared_ptr<const Snapshot> snapshot;
  const KvShape s = model.shape(static_cast<int>(prompt.size()));
  const Looks looks = look(device, model, prompt, answer, places, snapshot, policy.needs(s));
  fmt::print("\n{} {}\n{:>14} {:>10} {:>6} {:>6} {:>6} {:>6}\n", task.id, example.id, "token", "head", "due",
             "read", "heads", "kept");
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& due = looks.due[i];
    const auto top = static_cast<std::size_t>(std::ranges::max_element(due) - due.begin());
    const std::vector<double> shares = shares_of(policy, *snapshot, places[i]);
    std::vector<double> theirs;
    for (std::size_t head = 0; head < due.size(); ++head)
      if (due[head] >= kLooks) theirs.push_back(shares[head / static_cast<std::size_t>(s.group())]);
    std::ranges::sort(theirs);
    const auto H = static_cast<std::size_t>(s.q_heads);
    fmt::print("{:>14} {:>10} {:>6.2f} {:>6.2f} {:>6} {:>6}\n", tokenizer.decode({{answer[i]}}),
               fmt::format("{}.{}", top / H, top % H), due[top], looks.read[i][top], theirs.size(),
               theirs.empty() ? "-" : fmt::format("{:.2f}", theirs[theirs.size() / 2]));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return 2;
  const Prepared run(argv[1], std::vector<std::string>(argv + 2, argv + argc));
  CpuDevice device;
  const auto model = run.checkpoint.load(device);
  const auto policy = make_policy("snapkv");
  for (const PlanTask& task : run.plan.tasks)
    for (const Example& example : task.examples) tell(run, task, example, device, *model, *policy);
  return 0;
} catch (const evictbench::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.exit());
}
