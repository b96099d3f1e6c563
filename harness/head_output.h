#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/head_measure.h"

// What a measurement of heads leaves behind.
namespace evictbench {

using Facts = std::vector<std::pair<std::string, std::string>>;

// How scores were made, for sidecar and page.
Facts method_facts(const HeadMeasurement& how, const TrialSet& set);

// KIND.json and KIND_order.json with their sidecars, for each kind that has scores; heads.svg and heads.html.
void write_heads(const OutputFolder& folder, const TrialSet& set, const ModelMark& model,
                 const std::vector<MeasuredKind>& kinds, const Facts& method);

// Takes away the pictures, and what an earlier run left of kinds that have no scores now: other trials may have counted.
void remove_stale(const OutputFolder& folder, const std::vector<MeasuredKind>& kinds);

// For the terminal: how many trials count, and the best heads of each kind.
std::string summary(const TrialSet& set, const ModelMark& model, const std::vector<MeasuredKind>& kinds);
std::string summary_json(const TrialSet& set, const ModelMark& model, const std::vector<MeasuredKind>& kinds);

// One JSON object a line: every trial as token ids, with its answer.
std::string dump_text(const TrialSet& set, const std::vector<TrialRecord>& records, Accept accept);

}  // namespace evictbench
