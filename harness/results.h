#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "datasets/judge.h"
#include "harness/journal.h"
#include "harness/output_folder.h"
#include "reports/aggregate.h"
#include "reports/record.h"

namespace evictbench {

// What a report needs beside the records, kept in examples.json so that `report` needs no data and no model.
struct ExampleNotes {
  std::vector<std::string> warnings;
  std::map<std::string, std::string> main_scores;  // task -> score
  std::map<std::string, std::string> references;   // "task/example" -> right answer
  std::vector<Leak> leaks;

  // What `score` needs to judge the answers again. Absent from folders of older versions.
  std::map<std::string, Judge> judges;                      // task -> how it judges
  std::map<std::string, std::vector<std::string>> answers;  // "task/example" -> all right answers
  std::map<std::string, std::vector<std::string>> classes;  // task -> what an answer may name
  std::map<std::string, std::string>
      questions;  // "task/example" -> the question, where the metric looks at it
};

void write_notes(const OutputFolder& folder, const ExampleNotes& notes);

// results.json, results.csv, results.md, results.tex and report.html, from records alone but for facts and timings.
void write_results(const OutputFolder& folder, const std::vector<Record>& records, const ExampleNotes& notes,
                   const Manifest& manifest);

ExampleNotes read_notes(const std::string& folder);

// All records of a results folder, in the order of the plan.
std::vector<Record> read_records(const std::string& folder);

// The most that a run's device held at a time, in bytes; 0 where nothing tells.
double peak_bytes(const std::string& folder);

// The same files again from a results folder; returns the exit code.
int rebuild_results(const std::string& folder);

}  // namespace evictbench
