// Holds for every registered policy, including ones written after this test.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>

#include "policies/deviations.h"
#include "policies/registry.h"
#include "tests/support/calibration_files.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

// Every policy as it comes, once more for every value of each of its choices, and with each file that it may have.
std::vector<std::string> specs() {
  std::vector<std::string> specs;
  for (const PolicyEntry& entry : all_policies()) {
    specs.push_back(entry.name);
    const Options plain(entry.name);
    entry.make(plain);
    for (const auto& [key, asked] : plain.asked()) {
      for (const std::string& choice : asked.choices)
        specs.push_back(entry.name + "{" + key + "=" + choice + "}");
      if (asked.allowed == "a file" && asked.missing.empty()) specs.push_back(entry.name + "{" + key + "=@}");
    }
  }
  return specs;
}

const std::vector<KvShape>& shapes() {
  static const std::vector<KvShape> shapes{{4, 8, 2, 8, 220}, {3, 6, 3, 8, 67}, {1, 1, 1, 8, 40},
                                           {2, 4, 2, 8, 33},  {3, 4, 4, 4, 20}, {2, 6, 3, 8, 3},
                                           {2, 4, 1, 8, 1}};
  return shapes;
}

const std::vector<Budget>& budgets() {
  static const std::vector<Budget> budgets{{0},  {0.25}, {0.5}, {1},   {2},   {5.5},    {19.75}, {32},
                                           {33}, {34.5}, {64},  {100}, {128}, {199.25}, {220},   {2000}};
  return budgets;
}

std::vector<Budget> budgets_by(Budget::Rule rule) {
  std::vector<Budget> some = budgets();
  for (Budget& budget : some) budget.rule = rule;
  return some;
}

bool subset(const Selection& small, const Selection& large) {
  for (int i = 0; i < small.lanes(); ++i)
    if (!std::ranges::includes(large.lane(i), small.lane(i))) return false;
  return true;
}

// What holds on any cache, a snapshot's or a live one.
void obeys(const Policy& policy, const Observation& seen, const Observation& same, const std::string& where) {
  SCOPED_TRACE(where);
  const bool exact = policy.rule() == Budget::Rule::kExact;
  const std::vector<Budget> asked = budgets_by(policy.rule());
  const auto kept = policy.select(seen, asked), again = policy.select(same, asked);
  ASSERT_EQ(kept.size(), asked.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const Selection& selection = kept[i].selection;
    EXPECT_EQ(selection.heads(), policy.heads(seen.shape()));
    const auto lengths = seen.lengths(selection.heads());
    ASSERT_NO_THROW(selection.check(lengths));  // sorted, unique, in range
    const std::int64_t all = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
    if (exact) {
      EXPECT_EQ(kept[i].entries(), policy.evicts() ? std::min(asked[i].total(seen.shape()), all) : all)
          << asked[i].entries;
    } else if (asked[i].entries == 2000) {  // its own arithmetic, which golden tests hold to the repository's
      EXPECT_EQ(kept[i].entries(), all) << "a budget far beyond the prompt keeps all of it";
    }
    EXPECT_EQ(selection, again[i].selection) << "a pure function";
    const auto alone = policy.select(seen, std::span(asked).subspan(i, 1));
    EXPECT_EQ(alone[0].selection, selection) << "alone as together";
    if (policy.nested() && i > 0) {
      EXPECT_TRUE(subset(kept[i - 1].selection, selection)) << "budgets nest";
    }
  }
  for (const Kept& loose : policy.select(seen, budgets_by(Budget::Rule::kPublished)))
    EXPECT_NO_THROW(loose.selection.check(seen.lengths(loose.selection.heads())));
}

TEST(Contract, OnSnapshots) {
  for (const std::string& spec : specs())
    for (const KvShape& shape : shapes()) {
      const auto policy = make_policy_for(spec, shape);
      const Needs needs = policy->needs(shape);
      obeys(*policy, Observation(random_parts(shape, needs, 7)), Observation(random_parts(shape, needs, 7)),
            spec + " T=" + std::to_string(shape.tokens));
    }
}

// A cache in the middle of decoding: lanes of different lengths, the longest of them T.
Observation::Parts live_parts(const KvShape& s, const Needs& needs, unsigned seed) {
  Observation::Parts parts = random_parts(s, needs, seed);
  std::mt19937 rng(seed);
  parts.positions.clear();
  for (int lane = 0; lane < s.lanes(); ++lane) {
    const int length = lane == 0 ? s.tokens : std::uniform_int_distribution(0, s.tokens)(rng);
    auto& positions = parts.positions.emplace_back(static_cast<std::size_t>(length));
    std::iota(positions.begin(), positions.end(), 3);
  }
  for (const Stat& stat : needs.stats)
    if (stat.kind == Stat::kWindowAttention)
      parts.given.insert_or_assign(stat, random_tensor({s.layers, s.q_heads, s.tokens}, rng));
  return parts;
}

TEST(Contract, OnLiveCaches) {
  for (const std::string& spec : specs())
    for (const KvShape& shape : shapes()) {
      const auto policy = make_policy_for(spec, shape);
      const Needs needs = policy->needs(shape);
      obeys(*policy, Observation(live_parts(shape, needs, 9)), Observation(live_parts(shape, needs, 9)),
            spec + " live T=" + std::to_string(shape.tokens));
    }
}

TEST(Contract, NothingIsRemembered) {  // one object serves many prompts, in any order
  const KvShape small{2, 4, 2, 8, 50}, large{2, 4, 2, 8, 120};
  for (const std::string& spec : specs()) {
    const auto used = make_policy_for(spec, small), fresh = make_policy_for(spec, small);
    const std::vector<Budget> budget{{16, used->rule()}};
    const Observation first(random_parts(large, used->needs(large), 1)),
        then(random_parts(small, used->needs(small), 2));
    used->select(first, budget);
    EXPECT_EQ(used->select(then, budget)[0].selection, fresh->select(then, budget)[0].selection) << spec;
  }
}

TEST(Contract, OnePolicyPerFileAndNoneDroppedByTheLinker) {
  const std::vector<std::string> shared{
      "allocate",   "allocate_measured", "allocate_published", "calibration",
      "deviations", "options",           "registry",           "stages"};
  std::size_t files = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(EVICTBENCH_SOURCE_DIR "/policies"))
    if (file.path().extension() == ".cpp" &&
        std::ranges::find(shared, file.path().stem().string()) == shared.end())
      ++files;
  EXPECT_EQ(all_policies().size(), files);
  EXPECT_TRUE(std::ranges::is_sorted(all_policies(), {}, &PolicyEntry::name));
  for (const PolicyEntry& entry : all_policies())
    EXPECT_FALSE(entry.paper.empty() || entry.summary.empty() || entry.formula.empty());
}

TEST(Contract, DeviationsNamePoliciesAndPublishedVariantsHaveTheirRow) {
  std::map<std::string, int> rows;  // by the policy that they name
  int last = 0;
  for (const Deviation& row : all_deviations()) {
    EXPECT_GT(row.number, last) << "numbers ascend, none twice";
    last = row.number;
    EXPECT_FALSE(row.from.empty() || row.what.empty() || row.effect.empty()) << row.number;
    int named = 0;
    for (const PolicyEntry& entry : all_policies())
      if (row.policies.find("`" + entry.name + "`") != std::string::npos) ++rows[entry.name], ++named;
    EXPECT_EQ(named > 0, !row.general()) << row.number << " " << row.policies;
  }
  EXPECT_GT(last, 50);
  for (const PolicyEntry& entry : all_policies()) {
    if (entry.name == "full") continue;
    EXPECT_GT(rows[entry.name], 0) << entry.name;
    if (entry.name.find('@') != std::string::npos) {
      EXPECT_EQ(rows[entry.name], 1) << entry.name;
      EXPECT_EQ(deviations_of(entry.name).size(), 1u) << entry.name;
    } else {
      EXPECT_GT(deviations_of(entry.name).size(), static_cast<std::size_t>(rows[entry.name])) << entry.name;
    }
  }
}

TEST(Contract, OptionsHaveUnits) {  // one word, one unit
  const std::map<std::string, std::string> units{{"window", "tokens"},
                                                 {"kernel", "tokens"},
                                                 {"sinks", "tokens"},
                                                 {"first_prompt", "tokens"},
                                                 {"heads", "query heads"}};
  for (const PolicyEntry& entry : all_policies())
    for (const OptionInfo& option : describe(entry))
      EXPECT_EQ(option.unit, units.contains(option.key) ? units.at(option.key) : "")
          << entry.name << " " << option.key;
}

TEST(Contract, OnlyFullKeepsEverything) {
  for (const PolicyEntry& entry : all_policies())
    EXPECT_EQ(make_policy_for(entry.name, shapes()[0])->evicts(), entry.name != "full");
}

TEST(Contract, AStatThatWasNotAskedForIsAnError) {
  const Observation bare(random_parts({2, 4, 2, 8, 60}, {}, 3));
  EXPECT_THROW(make_policy("snapkv")->select(bare, std::vector<Budget>{{8}}), Error);
}

Selection random_kept(const std::string& spec, const Observation& seen, double entries) {
  const Budget budget{entries};
  return make_policy(spec)->select(seen, std::span(&budget, 1))[0].selection;
}

TEST(Contract, RandomIsKeyedBySeedPromptLaneAndSlot) {
  const KvShape shape{2, 2, 2, 8, 1000};
  const Observation seen(random_parts(shape, {}, 3)), other(random_parts(shape, {}, 4));
  const Selection kept = random_kept("random", seen, 500);
  EXPECT_NE(kept, random_kept("random{seed=43}", seen, 500));
  EXPECT_NE(kept, random_kept("random", other, 500));
  for (int a = 0; a < kept.lanes(); ++a)
    for (int b = 0; b < a; ++b) {  // two lanes share about half of what each keeps
      std::vector<std::int32_t> both;
      std::ranges::set_intersection(kept.lane(a), kept.lane(b), std::back_inserter(both));
      EXPECT_NEAR(static_cast<double>(both.size()), 250, 45);
    }
  for (int lane = 0; lane < kept.lanes(); ++lane) {  // and no part of the prompt is favoured
    const auto early = std::ranges::lower_bound(kept.lane(lane), 500) - kept.lane(lane).begin();
    EXPECT_NEAR(static_cast<double>(early), 250, 45);
  }
  Observation::Parts shorter =
      random_parts({2, 2, 2, 8, 900}, {}, 3);  // a slot's draw does not depend on the length
  const Selection small = random_kept("random", Observation(std::move(shorter)), 1),
                  large = random_kept("random", seen, 990);
  EXPECT_TRUE(subset(small, large));
}

}  // namespace
}  // namespace evictbench
