#include "reports/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "core/error.h"
#include "reports/json_text.h"
#include "reports/labels.h"
#include "reports/overview.h"

namespace evictbench {
namespace {

constexpr double kLevel = 0.05;
constexpr std::size_t kFewest = 6;  // differences: of n, all of one sign, p is 2^(1 - n)

using SettingKey = std::tuple<std::string, std::string, std::string>;  // task, question, first token

SettingKey key_of(const ComparedSetting& s) { return {s.task, s.question, s.first_token}; }

[[noreturn]] void not_comparable(const std::string& code, const std::string& found, const std::string& mend) {
  reject(Exit::kNotComparable,
         {code, "compare", "", found, "answers to the same examples by the same points", mend});
}

// The policy that a name stands for, or itself.
std::string canonical(const Aggregate& all, const std::string& name) {
  std::set<std::string> found;
  for (const Setting& setting : all.settings)
    for (const PointSummary& point : setting.points)
      if (point.policy == name || point.policy_name == name) found.insert(point.policy);
  if (found.contains(name) || found.size() == 1) return found.contains(name) ? name : *found.begin();
  reject(Exit::kUsage,
         {"E-CM-03", "command line", "--policy",
          found.empty() ? fmt::format("\"{}\", which the results do not have", printable(name))
                        : fmt::format("\"{}\", which is {} policies", printable(name), found.size()),
          "a policy of the results", "give its name with its options, as records.jsonl has it"});
}

// What is told of a point from differences that may be of several tasks.
struct Pairs {
  std::vector<std::vector<double>> base, differences;  // by task
  ComparedPoint out;
};

class Pairing {
 public:
  Pairing(const Aggregate& base, const Aggregate& now, const ComparisonRules& rules)
      : base_(base), now_(now), rules_(rules) {
    for (const Aggregate* all : {&base, &now})
      for (const Setting& setting : all->settings)
        if (setting.compute != all->settings.front().compute)
          not_comparable("E-CM-05", "more than one compute mode in one folder",
                         "compare runs of one mode each");
    for (const auto& [from, to] : rules.instead)
      if (!instead_.emplace(canonical(base, from), canonical(now, to)).second)
        reject(Exit::kUsage,
               {"E-CM-03", "command line", "--policy", fmt::format("\"{}\" twice", printable(from)),
                "each policy once", "compare with the other in a call of its own"});
  }

  Comparison run() {
    for (const Setting& setting : base_.settings) add(setting);
    if (other_prompts_ > 0)
      not_comparable("E-CM-01",
                     fmt::format("{} examples whose prompts differ, {} the first", other_prompts_,
                                 printable(first_other_)),
                     "compare runs of the same tasks, protocol, seed and tokenizer");
    if (out_.alone > 0 && !rules_.partial)
      not_comparable(
          "E-CM-02",
          fmt::format("{} answers without a partner, {} the first", out_.alone, printable(first_alone_)),
          "run the second sweep to its end, or add --partial to compare what both have");
    if (out_.points() == 0)
      not_comparable("E-CM-02", "nothing that both have", "compare runs of the same tasks and points");
    add_means();
    correct();
    return std::move(out_);
  }

 private:
  const std::string& partner_policy(const PointSummary& point) const {
    const auto found = instead_.find(point.policy);
    return found == instead_.end() ? point.policy : found->second;
  }

  const PointSummary* partner_of(const Setting& setting, const PointSummary& point) const {
    const std::string& policy = partner_policy(point);
    for (const Setting& other : now_.settings)
      if (std::tie(other.task, other.question, other.first_token) ==
          std::tie(setting.task, setting.question, setting.first_token))
        for (const PointSummary& candidate : other.points)
          if (candidate.policy == policy && candidate.budget_unit == point.budget_unit &&
              candidate.budget == point.budget)
            return &candidate;
    return nullptr;
  }

  void add(const Setting& setting) {
    ComparedSetting out{setting.task, setting.question, setting.first_token, setting.main_score, {}};
    for (const PointSummary& point : setting.points) {
      if (!instead_.empty() && !instead_.contains(point.policy)) continue;
      Pairs pairs = pairs_of(setting, point);
      if (pairs.out.pairs == 0 && pairs.out.failed == 0) continue;
      finish(pairs, key_of(out));
      out.points.push_back(pairs.out);
      pairs_[key_of(out)].push_back(std::move(pairs));
    }
    if (!out.points.empty()) out_.settings.push_back(std::move(out));
  }

  Pairs pairs_of(const Setting& setting, const PointSummary& point) {
    Pairs pairs{{{}}, {{}}, {}};
    static_cast<ComparedName&>(pairs.out) = {label_of(point), point.policy, partner_policy(point),
                                             point.budget_unit, point.budget};
    std::map<std::string, const Record*> partners;
    if (const PointSummary* partner = partner_of(setting, point))
      for (const Record* record : partner->records) partners[record->example] = record;
    for (const Record* record : point.records) {
      if (!record->error.empty()) continue;
      const auto found = partners.find(record->example);
      const std::string what = fmt::format("{} {} of {}", record->task, record->example, pairs.out.label);
      if (found == partners.end()) {
        if (out_.alone++ == 0) first_alone_ = what;
      } else if (found->second->prompt_hash != record->prompt_hash) {
        if (other_prompts_++ == 0) first_other_ = what;
      } else if (!found->second->error.empty()) {
        ++pairs.out.failed;
      } else {
        add_pair(*record, *found->second, setting.main_score, pairs);
      }
    }
    return pairs;
  }

  void add_pair(const Record& base, const Record& now, const std::string& score, Pairs& pairs) const {
    const auto value = [&](const Record& record) {
      const auto found = record.scores.find(score);
      if (found == record.scores.end())
        not_comparable("E-CM-04",
                       fmt::format("no score '{}' of {} {}", printable(score), record.task, record.example),
                       "compare runs of versions that score alike, or score them again");
      return found->second;
    };
    const double was = value(base), is = value(now);
    pairs.base.front().push_back(was);
    pairs.differences.front().push_back(is - was);
    ComparedPoint& out = pairs.out;
    ++out.pairs;
    out.better += is > was;
    out.worse += is < was;
    out.same_answers += base.answer_ids == now.answer_ids;
    out.base_bytes += static_cast<double>(base.retained_bytes);
    out.now_bytes += static_cast<double>(now.retained_bytes);
    out.more_bytes += rules_.memory_tolerance &&
                      static_cast<double>(now.retained_bytes) >
                          static_cast<double>(base.retained_bytes) * (1 + *rules_.memory_tolerance);
  }

  // Sums of bytes become means; a mean over tasks counts every task the same.
  static void finish(Pairs& pairs, const SettingKey& setting) {
    ComparedPoint& out = pairs.out;
    if (out.pairs == 0) return;
    out.base_bytes /= static_cast<double>(out.pairs);
    out.now_bytes /= static_cast<double>(out.pairs);
    const auto& [task, question, first_token] = setting;
    const std::uint64_t key = evictbench::key_of({task, question, first_token, out.policy, out.policy_now,
                                                  out.budget_unit, shortest(out.budget), "compare"});
    out.difference = estimate_mean_of_means(pairs.differences, key);
    std::vector<double> weighted;  // their sum is the mean
    for (std::size_t t = 0; t < pairs.base.size(); ++t) {
      const double weight = 1 / static_cast<double>(pairs.base.size() * pairs.base[t].size());
      for (std::size_t i = 0; i < pairs.base[t].size(); ++i) {
        out.base += weight * pairs.base[t][i];
        weighted.push_back(weight * pairs.differences[t][i]);
      }
    }
    out.now = out.base + out.difference.mean;
    out.p = sign_flip_p(pairs.base.size() == 1 ? pairs.differences.front() : weighted, key);
  }

  std::string label_of(const PointSummary& point) const {
    const std::string policy = partner_policy(point);
    if (policy == point.policy) return point_label(base_, point);
    const std::string &from = base_.labels.at(point.policy), &to = now_.labels.at(policy);
    const bool alike = from == to;  // in each of the two folders a name alone
    return fmt::format("{} -> {} at {}", alike ? point.policy : from, alike ? policy : to,
                       budget_label(point.budget_unit, point.budget));
  }

  // Of every benchmark's tasks, over the points that all of them have.
  void add_means() {
    const std::size_t settings = out_.settings.size();
    std::map<SettingKey, std::vector<std::size_t>> alike;
    std::vector<SettingKey> order;
    for (std::size_t i = 0; i < settings; ++i) {
      SettingKey key = key_of(out_.settings[i]);
      std::string& task = std::get<0>(key);
      task = benchmark_of(task);
      if (task.empty()) continue;
      if (!alike.contains(key)) order.push_back(key);
      alike[key].push_back(i);
    }
    for (const SettingKey& key : order)
      if (const std::vector<std::size_t>& tasks = alike.at(key); tasks.size() > 1)
        add_mean(std::get<0>(key), tasks);
  }

  void add_mean(const std::string& benchmark, const std::vector<std::size_t>& tasks) {
    const ComparedSetting& first = out_.settings[tasks.front()];
    ComparedSetting mean{fmt::format("{} (mean of {} tasks)", benchmark, tasks.size()),
                         first.question,
                         first.first_token,
                         "score",
                         {}};
    for (const ComparedPoint& point : first.points) {
      Pairs all;
      static_cast<ComparedName&>(all.out) = point;
      for (const std::size_t task : tasks) join(out_.settings[task], all);
      if (all.base.size() != tasks.size()) continue;
      finish(all, key_of(mean));
      mean.points.push_back(all.out);
    }
    if (!mean.points.empty()) out_.settings.push_back(std::move(mean));
  }

  // The pairs of a task at the point of `all`, if it has any.
  void join(const ComparedSetting& setting, Pairs& all) {
    const auto place = [](const ComparedPoint& p) { return std::tie(p.policy, p.budget_unit, p.budget); };
    for (const Pairs& pairs : pairs_.at(key_of(setting))) {
      if (place(pairs.out) != place(all.out) || pairs.out.pairs == 0) continue;
      all.base.push_back(pairs.base.front());
      all.differences.push_back(pairs.differences.front());
      const auto n = static_cast<double>(pairs.out.pairs);
      all.out.pairs += pairs.out.pairs;
      all.out.better += pairs.out.better;
      all.out.worse += pairs.out.worse;
      all.out.same_answers += pairs.out.same_answers;
      all.out.base_bytes += pairs.out.base_bytes * n;
      all.out.now_bytes += pairs.out.now_bytes * n;
    }
  }

  void correct() {
    std::vector<ComparedPoint*> all;
    std::vector<double> p;
    for (ComparedSetting& setting : out_.settings)
      for (ComparedPoint& point : setting.points) {
        if (point.better + point.worse < kFewest) continue;
        all.push_back(&point);
        p.push_back(point.p);
      }
    const std::vector<double> corrected = holm(p);
    for (std::size_t i = 0; i < all.size(); ++i) {
      ComparedPoint& point = *all[i];
      point.corrected_p = corrected[i];
      const bool beyond_chance = point.corrected_p < kLevel;
      point.higher = beyond_chance && point.difference.mean > 0;
      point.lower = beyond_chance && point.difference.mean < -rules_.score_tolerance;
    }
  }

  const Aggregate &base_, &now_;
  const ComparisonRules& rules_;
  std::map<std::string, std::string> instead_;
  std::map<SettingKey, std::vector<Pairs>> pairs_;
  std::size_t other_prompts_ = 0;
  std::string first_alone_, first_other_;
  Comparison out_;
};

}  // namespace

std::size_t Comparison::points() const {
  return std::accumulate(settings.begin(), settings.end(), std::size_t{0},
                         [](std::size_t sum, const auto& setting) { return sum + setting.points.size(); });
}

std::size_t Comparison::regressions() const {
  std::size_t count = 0;
  for (const ComparedSetting& setting : settings)
    count += static_cast<std::size_t>(
        std::ranges::count_if(setting.points, [](const auto& point) { return point.is_regression(); }));
  return count;
}

Comparison compare(const Aggregate& base, const Aggregate& now, const ComparisonRules& rules) {
  return Pairing(base, now, rules).run();
}

}  // namespace evictbench
