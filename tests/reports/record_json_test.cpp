#include "reports/record_json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <limits>

#include "core/error.h"

namespace evictbench {
namespace {

Record sample() {
  Record r;
  r.task = "niah";
  r.example = "niah/512/25/Tallinn";
  r.length = 512;
  r.depth = 12.5;
  r.question = "inside";
  r.first_token = "evicted";
  r.policy = "snapkv{kernel=7,pool=max,window=32}";
  r.policy_name = "snapkv";
  r.budget_unit = "ratio";
  r.budget = 0.1;
  r.compute = "f32";
  r.point = "0123456789abcdef";
  r.answer_ids = {0, 17, std::numeric_limits<std::int32_t>::max()};
  r.answer = "say \"hi\"\n\t\\ \u2028 \u00e9 \U0001F600";
  r.scores = {{"exact", 1}, {"f1", 1.0 / 3}};
  r.prompt_tokens = 530;
  r.asked = 4770;
  r.kept = 4770;
  r.full_entries = 47700;
  r.retained_bytes = std::int64_t{1} << 45;
  r.kept_by_layer = {0, 4000, 770};
  r.prompt_hash = "feedfacecafebeef";
  return r;
}

// A line with a right check around any members, as a foreign or older writer might leave it.
std::string sealed(const std::string& body) {
  return body + fmt::format(",\"check\":\"{:016x}\"}}", XXH3_64bits(body.data(), body.size()));
}
std::string body_of(const std::string& line) { return line.substr(0, line.rfind(",\"check\"")); }

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

std::string message_of(const std::string& line) {
  try {
    parse_record(line, "records.jsonl", 17);
  } catch (const Error& error) {
    EXPECT_EQ(error.exit(), Exit::kInput);
    return error.what();
  }
  return "";
}

TEST(RecordJson, HasTheDocumentedBytes) {
  Record r;
  r.task = "t";
  r.question = "after";
  r.first_token = "full";
  r.budget_unit = "entries";
  r.budget = 64;
  r.answer_ids = {1, 2};
  r.scores = {{"b", 0.5}, {"a", 1}};
  const std::string body =
      R"({"schema":1,"task":"t","example":"","length":0,"depth":-1,"question":"after","first_token":"full",)"
      R"("policy":"","policy_name":"","budget_unit":"entries","budget":64,"compute":"","point":"",)"
      R"("answer_ids":[1,2],"answer":"","scores":{"a":1,"b":0.5},"error":"","prompt_tokens":0,"asked":0,)"
      R"("kept":0,"full_entries":0,"retained_bytes":0,"kept_by_layer":[],"prompt_hash":"")";
  EXPECT_EQ(record_line(r), sealed(body));
}

TEST(RecordJson, RoundTripGivesTheSameBytesAndValues) {
  Record r = sample();
  for (const double number : {0.0, -0.0, 5e-324, 0.1, 1.0 / 3, 1.0, 0.9999999999999999}) {
    r.scores["f1"] = number;
    r.budget = number * 4096;
    const std::string line = record_line(r);
    EXPECT_EQ(line.find('\n'), line.npos);
    const Record back = parse_record(line, "records.jsonl", 1);
    EXPECT_EQ(record_line(back), line);
    EXPECT_EQ(back.scores, r.scores);
    EXPECT_EQ(back.budget, r.budget);
    EXPECT_EQ(back.answer, r.answer);
    EXPECT_EQ(back.answer_ids, r.answer_ids);
    EXPECT_EQ(back.kept_by_layer, r.kept_by_layer);
    EXPECT_EQ(back.retained_bytes, r.retained_bytes);
    EXPECT_EQ(back.depth, r.depth);
  }
}

TEST(RecordJson, FidelityIsThereOnlyWhereItWasMeasured) {
  Record r = sample();
  const std::string without = body_of(record_line(r));
  r.fidelity = Fidelity{
      .tokens = 3, .kl = 1e-9, .agreement = 0.5, .delta_nll = -0.25, .mass = 1, .mass_by_layer = {1, 0.75}};
  const std::string with = body_of(record_line(r));
  EXPECT_EQ(with, without +
                      R"(,"fidelity":{"tokens":3,"kl":1e-09,"agreement":0.5,"delta_nll":-0.25,"mass":1,)"
                      R"("mass_by_layer":[1,0.75]})");
  const Record back = parse_record(sealed(with), "records.jsonl", 1);
  EXPECT_EQ(record_line(back), sealed(with));
  EXPECT_FALSE(parse_record(sealed(without), "records.jsonl", 1).fidelity);
  const auto refused = [&](const std::string& from, const std::string& to) {
    return message_of(sealed(replaced(with, from, to)));
  };
  EXPECT_NE(refused("\"mass\":1", "\"mass\":1.5").find("E-RC-J06"), std::string::npos);
  EXPECT_NE(refused("\"kl\":1e-09", "\"kl\":-1e-09").find("E-RC-J06"), std::string::npos);
  EXPECT_NE(refused("\"tokens\":3", "\"tokens\":0").find("E-RC-J06"), std::string::npos);
  EXPECT_NE(refused("\"tokens\":3,", "").find("E-RC-J07"), std::string::npos);
  EXPECT_NE(refused("\"tokens\":3,", "\"tokens\":3,\"more\":1,").find("E-RC-04"), std::string::npos);
  r.fidelity->kl = std::numeric_limits<double>::infinity();
  EXPECT_THROW(record_line(r), Error);
}

TEST(RecordJson, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  Record r = sample();
  r.answer = std::string("a\xff\xc3 b\x00\xed\xa0\x80", 9);  // a lone byte, a cut character, NUL, a surrogate
  const Record back = parse_record(record_line(r), "records.jsonl", 1);
  EXPECT_EQ(back.answer, std::string("a\ufffd\ufffd b") + '\0' + "\ufffd\ufffd\ufffd");
}

TEST(RecordJson, EveryBitFlipIsFound) {
  const std::string line = record_line(sample());
  for (std::size_t byte = 0; byte < line.size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = line;
      flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << bit));
      ASSERT_THROW(parse_record(flipped, "records.jsonl", 1), Error) << byte << " " << bit;
    }
}

TEST(RecordJson, EveryCutAndEveryLostOrDoubledByteIsFound) {
  const std::string line = record_line(sample());
  for (std::size_t byte = 0; byte < line.size(); ++byte) {
    ASSERT_THROW(parse_record(line.substr(0, byte), "records.jsonl", 1), Error) << byte;
    ASSERT_THROW(parse_record(line.substr(byte + 1), "records.jsonl", 1), Error) << byte;
    ASSERT_THROW(parse_record(std::string(line).insert(byte, 1, line[byte]), "records.jsonl", 1), Error)
        << byte;
  }
  EXPECT_NE(message_of(line + line).find("E-RC-02"), std::string::npos);
  EXPECT_NE(message_of("").find("E-RC-01"), std::string::npos);
}

TEST(RecordJson, MessagesNameTheLineAndTheFault) {
  const std::string body = body_of(record_line(sample()));
  const auto expect = [&](const std::string& line, const std::string& code, const std::string& words) {
    const std::string message = message_of(line);
    EXPECT_NE(message.find("error[" + code + "] records.jsonl:17"), message.npos) << message;
    EXPECT_NE(message.find(words), message.npos) << message;
  };
  expect(body + "}", "E-RC-01", "without its check");
  expect(replaced(sealed(body), "Tallinn", "Tallins"), "E-RC-02", "damaged");
  expect(sealed(replaced(body, "\"schema\":1", "\"schema\":2")), "E-RC-03", "schema version 2");
  expect(sealed(body + ",\"extra\":1"), "E-RC-04", "extra");
  expect(sealed(replaced(body, "\"inside\"", "\"outside\"")), "E-RC-05", "outside");
  expect(sealed(replaced(body, ",\"compute\":\"f32\"", "")), "E-RC-J07", "compute");
  expect(sealed(body + ",\"task\":\"again\""), "E-RC-J04", "task");
  expect(sealed(replaced(body, "\"length\":512", "\"length\":\"512\"")), "E-RC-J05", "length");
  expect(sealed(replaced(body, "\"length\":512", "\"length\":512.5")), "E-RC-J05", "length");
  expect(sealed(replaced(body, "\"kept\":4770", "\"kept\":-1")), "E-RC-J06", "kept");
  expect(sealed(replaced(body, "\"exact\":1", "\"exact\":1.5")), "E-RC-J06", "exact");
  expect(sealed(replaced(body, "\"exact\":1", "\"exact\":NaN")), "E-RC-J01", "JSON");
  expect(sealed(replaced(body, "2147483647", "2147483648")), "E-RC-J06", "answer_ids");
  expect(sealed("[1"), "E-RC-J01", "JSON");
  expect(sealed(replaced(body, "[0,4000,770]", std::string(100, '[') + std::string(100, ']'))), "E-RC-J03",
         "deep");
}

TEST(RecordJson, WhatCannotBeReadBackIsNotWritten) {
  const auto refuses = [](auto change) {
    Record r = sample();
    change(r);
    EXPECT_THROW(record_line(r), Error);
  };
  refuses([](Record& r) { r.scores["f1"] = std::numeric_limits<double>::quiet_NaN(); });
  refuses([](Record& r) { r.scores["f1"] = 1.1; });
  refuses([](Record& r) { r.budget = std::numeric_limits<double>::infinity(); });
  refuses([](Record& r) { r.kept = -1; });
  refuses([](Record& r) { r.question = "maybe"; });
  refuses([](Record& r) { r.scores["\xff"] = r.scores["\xfe"] = 0; });
}

}  // namespace
}  // namespace evictbench
