// The sidecar of a score file: what is written is read back, and what is malformed is refused.
#include "harness/sidecar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/io/file.h"
#include "tests/support/malformed.h"
#include "tests/support/random_decoder.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

constexpr const char* kScores = "{\"0-0\": [0.5]}";

Sidecar some_sidecar() {
  return {.kind = ScoreKind::kReasoning,
          .model = {"tiny \"one\"", std::string(32, 'a'), 3, 4},
          .method = {{"steps", "50"}, {"stop", "period"}},
          .data = {{"seed", "42"}},
          .examples = {example_hash("b", "q"), example_hash("a", "q"), example_hash("a", "q")},
          .made = 7,
          .accepted = 5};
}

// What write_scores() writes, with one part of it exchanged.
std::string with(const std::string& part, const std::string& other) {
  const TempFolder folder;
  write_scores(folder / "s.json", kScores, some_sidecar());
  std::string text = read_text(folder / "s.json.meta.json", Exit::kInput, "E-SD");
  const auto at = text.find(part);
  EXPECT_NE(at, text.npos) << part;
  return text.replace(at, part.size(), other);
}

TEST(Sidecar, IsReadBackAsWritten) {
  const TempFolder folder;
  const std::string file = folder / "scores.json";
  EXPECT_FALSE(read_sidecar(file));
  write_scores(file, kScores, some_sidecar());
  EXPECT_EQ(read_text(file, Exit::kInput, "E-HS"), kScores);
  const Sidecar back = read_sidecar(file).value(), sent = some_sidecar();
  EXPECT_EQ(back.kind, ScoreKind::kReasoning);
  EXPECT_EQ(back.model.name, sent.model.name);
  EXPECT_EQ(back.model.hash, sent.model.hash);
  EXPECT_EQ(back.model.layers, 3);
  EXPECT_EQ(back.model.heads, 4);
  EXPECT_EQ(back.method, sent.method);
  EXPECT_EQ(back.data, sent.data);
  EXPECT_EQ(back.made, 7);
  EXPECT_EQ(back.accepted, 5);
  EXPECT_EQ(back.scores, score_hash(kScores));
  EXPECT_EQ(back.program, EVICTBENCH_VERSION);
  EXPECT_EQ(back.examples.size(), 2u) << "each once";
  EXPECT_TRUE(std::ranges::is_sorted(back.examples));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_THAT(entry.path().filename().string(), testing::StartsWith("scores.json")) << "nothing half made";
}

TEST(Sidecar, HashesTellContextAndQuestionApart) {
  EXPECT_NE(example_hash("ab", "c"), example_hash("a", "bc"));
  EXPECT_NE(example_hash("a", "b"), example_hash("b", "a"));
  Example example;
  example.context = "a";
  example.question = "b";
  example.answer_prefix = "no part of it";
  EXPECT_EQ(example_hash(example), example_hash("a", "b"));
}

TEST(Sidecar, AModelIsItsConfigAndItsWeights) {
  const TempFolder folder;
  for (const char* name : {"a", "same", "other"}) {
    std::filesystem::create_directory(folder / name);
    write_random_checkpoint(folder / name, {.layers = 3, .q_heads = 4}, name[0] == 'o' ? 12 : 11);
  }
  folder.write("same/generation_config.json", "{}");
  const auto mark = [&](const std::string& name) {
    const Checkpoint checkpoint(folder / name);
    return mark_of(checkpoint, checkpoint.digests());
  };
  EXPECT_EQ(mark("a").name, "a");
  EXPECT_EQ(mark("a").layers, 3);
  EXPECT_EQ(mark("a").heads, 4);
  EXPECT_EQ(mark("a").hash, mark("same").hash);
  EXPECT_NE(mark("a").hash, mark("other").hash);
}

TEST(Sidecar, WhatCannotBeWrittenIsExitSix) {
  const TempFolder folder;
  expect_refusal([&] { write_scores(folder / "absent/s.json", kScores, some_sidecar()); }, "E-OUT-06",
                 "folder cannot be opened", Exit::kOutput);
}

TEST(Sidecar, MalformedOnesAreRefused) {
  const std::vector<Malformed> cases{
      {"form", "{", "E-SD-J01", "."},
      {"form", "[]", "E-SD-J05", "."},
      {"form", "{}", "E-SD-J07", "sidecar"},
      {"form", std::string(100, '['), "E-SD-J03", "deep"},
      {"form", with("\"kind\"", "\"sidecar\""), "E-SD-J04", "."},
      {"form", with("tiny", "\xff"), "E-SD-J02", "."},
      {"version", with("\"sidecar\": 1", "\"sidecar\": 2"), "E-SD-01", "version 2.+version 1"},
      {"keys", with("\"program\"", "\"programme\""), "E-SD-02", "programme"},
      {"keys", with("\"made\"", "\"tried\""), "E-SD-02", "tried"},
      {"keys", with("\"layers\"", "\"depth\""), "E-SD-02", "depth"},
      {"keys", with("\"kind\": \"reasoning\",\n", ""), "E-SD-J07", "kind"},
      {"hash", with("xxh3:", "md5:"), "E-SD-03", "xxh3:16 hex"},
      {"hash", with("aaaa", "aaaA"), "E-SD-03", "32 hex"},
      {"hash", with("aaaa", "aaa"), "E-SD-03", "32 hex"},
      {"hash", with(example_hash("a", "q"), "0"), "E-SD-03", "16 hex"},
      {"kind", with("\"reasoning\"", "\"reason\""), "E-SD-04", "copy, semantic, .+layer_error"},
      {"kind", with("\"reasoning\"", "3"), "E-SD-J05", "."},
      {"order", with("\"examples\": [", "\"examples\": [\"ffffffffffffffff\","), "E-SD-05", "ascending"},
      {"range", with("\"layers\": 3", "\"layers\": 0"), "E-SD-J06", "."},
      {"range", with("\"heads\": 4", "\"heads\": 1e9"), "E-SD-J05", "."},
      {"range", with("\"made\": 7", "\"made\": -1"), "E-SD-J06", "."},
      {"range", with("\"accepted\": 5", "\"accepted\": 8"), "E-SD-J06", "."},
      {"facts", with("\"50\"", "50"), "E-SD-J05", "."},
  };
  const TempFolder folder;
  expect_all_refused(cases, 20, {"form", "version", "keys", "hash", "kind", "order", "range", "facts"},
                     [&](const std::string& content) {
                       folder.write("s.json.meta.json", content);
                       read_sidecar(folder / "s.json");
                     });
}

TEST(Sidecar, OneThatIsNoFileIsRefused) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "s.json.meta.json");
  EXPECT_NE(refusal([&] { read_sidecar(folder / "s.json"); }), "");
}

}  // namespace
}  // namespace evictbench
