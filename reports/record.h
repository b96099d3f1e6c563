#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// One scored answer: the only type that the harness and the reports share.
namespace evictbench {

constexpr int kRecordSchema = 1;

// How near a point stayed to the full cache along a continuation; harness/fidelity.h has the formulas.
struct Fidelity {
  int tokens = 0;                     // positions that were compared, at least 1
  double kl = 0;                      // nats per token
  double agreement = 0;               // in [0, 1]
  double delta_nll = 0;               // nats per token; negative: the point finds the continuation likelier
  double mass = 0;                    // in [0, 1]: attention to the prompt that fell on kept entries
  std::vector<double> mass_by_layer;  // [L]
};

struct Record {
  // what ran
  std::string task, example;
  int length = 0;           // nominal, in tokens
  double depth = -1;        // percent, or -1
  std::string question;     // "inside" or "after"
  std::string first_token;  // "evicted" or "full"
  std::string policy;       // canonical: "snapkv{kernel=7,pool=max,window=32}"
  std::string policy_name;  // "snapkv"
  std::string budget_unit;  // "entries", "ratio", "bytes"; "full" for the full cache
  double budget = 0;        // in that unit
  std::string compute;      // "f32"
  std::string point;        // hash of all that can change the answer: policy, budget, protocol, compute

  // what came out
  std::vector<std::int32_t> answer_ids;
  std::string answer;                    // text; bytes that are not UTF-8 are U+FFFD
  std::map<std::string, double> scores;  // by name, in [0, 1]
  std::string error;                     // why there is no answer; empty: there is one

  // what it cost
  int prompt_tokens = 0;                    // T: what was prefilled
  std::int64_t asked = 0, kept = 0;         // entries of all lanes
  std::int64_t full_entries = 0;            // entries of all lanes of the full cache
  std::int64_t retained_bytes = 0;          // of the base: kept entries' keys and values
  std::vector<std::int64_t> kept_by_layer;  // [L] entries
  std::string prompt_hash;                  // XXH3 of the prompt's ids, hex
  std::optional<Fidelity> fidelity;         // of runs that measure it
};

}  // namespace evictbench
