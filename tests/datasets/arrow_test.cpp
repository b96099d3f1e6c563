// Arrow streams: what pyarrow writes is read; what lies is refused with its place, without a large allocation.
#include "datasets/arrow.h"

#include <gtest/gtest.h>

#include "tests/support/arrow_writer.h"
#include "tests/support/malformed.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

const std::vector<std::string> kWanted{"input", "question", "target"};
const std::string kVectors = EVICTBENCH_SOURCE_DIR "/tests/datasets/vectors/arrow/";

using Columns = std::vector<std::vector<std::string>>;

Columns read(const std::string& content) {
  const TempFolder folder;
  return read_arrow_texts(folder.write("data.arrow", content), kWanted, "E-AR");
}

TEST(Arrow, ReadsWhatPyarrowWrites) {  // tests/oracles/compare_arrow.py made these
  const Columns due{
      {"", "Mary went to the bath\u00ADroom.", "\U0001F600 x\ny"}, {"Where? ", "q", ""}, {"a", "b,c", "d"}};
  for (const char* name : {"utf8", "large", "batches", "order"})
    EXPECT_EQ(read_arrow_texts(kVectors + name + ".arrow", kWanted, "E-AR"), due) << name;
  const std::vector<std::string> two{"target", "input"};
  EXPECT_EQ(read_arrow_texts(kVectors + "utf8.arrow", two, "E-AR"), (Columns{due[2], due[0]}));
  EXPECT_EQ(read_arrow_texts(kVectors + "empty.arrow", kWanted, "E-AR"), (Columns{{}, {}, {}}));
}

TEST(Arrow, RefusesByNameWhatPyarrowWritesOtherwise) {
  for (const auto& [name, code, words] : {std::tuple{"file", "E-AR-A01", "random access"},
                                          {"numbers", "E-AR-A06", "\"target\" of type 2"},
                                          {"absent", "E-AR-A14", "1 absent values"},
                                          {"dictionary", "E-AR-A09", "dictionary"},
                                          {"lz4", "E-AR-A12", "compressed"},
                                          {"version4", "", ""}})
    if (*code == '\0')
      EXPECT_EQ(read_arrow_texts(kVectors + name + ".arrow", kWanted, "E-AR")[2][0], "a");
    else
      expect_refusal([&] { read_arrow_texts(kVectors + name + ".arrow", kWanted, "E-AR"); }, code, words);
}

// The writer of these tests is right: what it makes without a lie is read.
TEST(Arrow, ReadsBothWidthsOfOffsets) {
  for (const bool large : {false, true}) {
    const ArrowParts parts{.large = large};
    EXPECT_EQ(read(parts.stream()), parts.columns);
  }
}

std::vector<Malformed> lies() {
  const ArrowParts good;
  std::vector<Malformed> out;
  const auto add = [&](const char* id, const char* code, const char* words, const ArrowParts& parts) {
    out.push_back({id, parts.stream(), std::string("E-AR-") + code, words});
  };
  const auto text = [&](const char* id, const char* code, const char* words, const std::string& content) {
    out.push_back({id, content, std::string("E-AR-") + code, words});
  };
  using std::string;
  const string stream = good.stream();
  text("AR-01", "A01", "byte 0: \"\"", "");
  text("AR-01", "A01", "byte 0", "hello");
  text("AR-01", "A01", "random access", string("ARROW1\0\0", 8) + stream);
  text("AR-01", "A01", "Feather", "FEA1" + stream);
  text("AR-01", "A01", "Parquet", "PAR1....PAR1");
  text("AR-01", "A01", "since Arrow 0.15", stream.substr(4));
  text("AR-01", "F13", "gzip", "\x1f\x8b" + stream);
  text("AR-01", "F13", "Git LFS", "version https://git-lfs.github.com/spec/v1\n");
  text("AR-01", "F14", "HTML", "<!doctype html>");
  text("AR-02", "A02", "the file ends in 4 bytes", stream.substr(0, 4));
  text("AR-02", "A02", "metadata of -8 bytes", string("\xFF\xFF\xFF\xFF\xF8\xFF\xFF\xFF", 8) + stream);
  text("AR-02", "A02", "metadata of 2147483647 bytes",
       string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 8) + stream);
  text("AR-02", "A02", "metadata of 4 bytes", string("\xFF\xFF\xFF\xFF\4\0\0\0", 8) + stream);
  add("AR-02", "A02", "a body of -1 bytes", {.body_bytes = -1});
  add("AR-02", "A02", "a body of 9223372036854775807 bytes", {.body_bytes = INT64_MAX});
  add("AR-02", "A02", "a body of -9223372036854775808 bytes", {.body_bytes = INT64_MIN});
  add("AR-02", "A01", "no message", {.end_mark = false, .behind = "some other text"});
  text("AR-03", "A03", "an offset of 0 bytes", string("\xFF\xFF\xFF\xFF\x10\0\0\0", 8) + string(16, '\0'));
  text("AR-03", "A03", "an offset of 4294967295",
       string("\xFF\xFF\xFF\xFF\x10\0\0\0", 8) + string(16, '\xFF'));
  add("AR-04", "A04", "metadata version 3", {.version = 2});
  add("AR-04", "A04", "metadata version 0", {.version = -1});
  add("AR-04", "A04", "metadata version 6", {.version = 5});
  add("AR-04", "A04", "without a header", {.batch_header = false});
  add("AR-04", "A04", "a message of kind 4", {.batch_kind = 4});
  add("AR-04", "A04", "a message of kind 255", {.batch_kind = 255});
  add("AR-05", "A05", "big-endian", {.endianness = 1});
  add("AR-05", "A05", "0 columns", {.names = {}, .columns = {}});
  add("AR-05", "A05", "65 columns", {.names = std::vector<string>(65, "x")});
  add("AR-06", "A06", "type 2", {.type = 2});
  add("AR-06", "A06", "type 12", {.type = 12});
  add("AR-06", "A06", "type 24", {.type = 24});
  add("AR-06", "A06", "columns of its own", {.children = true});
  add("AR-07", "A07", "\"input\" twice", {.names = {"input", "input", "target"}});
  add("AR-08", "A08", "no column \"target\"", {.names = {"input", "question", "Target"}});
  add("AR-08", "A08", "no column \"question\"", {.names = {"input"}, .columns = {{"a"}}});
  add("AR-09", "A09", "\"input\" by dictionary", {.dictionary = true});
  add("AR-09", "A09", "a dictionary of values", {.batch_kind = 2});
  add("AR-10", "A10", "kind 3 first", {.schema_kind = 3});
  add("AR-10", "A10", "kind 2 first", {.schema_kind = 2});
  add("AR-10", "A10", "after the schema", {.second_schema = true});
  text("AR-10", "A10", "without a schema", string("\xFF\xFF\xFF\xFF\0\0\0\0", 8));
  add("AR-11", "A11", "2 columns in 9 buffers", {.nodes_left_out = 1});
  add("AR-11", "A11", "0 columns", {.nodes_left_out = 3});
  add("AR-11", "A11", "3 columns in 8 buffers", {.buffers_left_out = 1});
  add("AR-11", "A11", "3 columns in 0 buffers", {.buffers_left_out = 9});
  add("AR-12", "A12", "compressed", {.compressed = true});
  add("AR-13", "A13", "-1 rows", {.rows = -1});
  add("AR-13", "A13", "9223372036854775807 rows", {.rows = INT64_MAX});
  add("AR-13", "A13", "1048577 rows", {.rows = 1048577});
  add("AR-13", "A13", "5 values in column \"input\"", {.node_rows = 5});
  add("AR-13", "A13", "-2 values", {.node_rows = -2});
  add("AR-14", "A14", "1 absent values", {.absent = 1});
  add("AR-14", "A14", "-1 absent values", {.absent = -1});
  for (const std::size_t buffer : {0U, 1U, 2U, 8U}) {
    add("AR-15", "A15", "at byte -1 of", {.buffer_numbers = {{2 * buffer, -1}}});
    add("AR-15", "A15", "at byte 4611686018427387904",
        {.buffer_numbers = {{2 * buffer, std::int64_t{1} << 62}}});
    add("AR-15", "A15", "of -1 bytes", {.buffer_numbers = {{2 * buffer + 1, -1}}});
    add("AR-15", "A15", "of 9223372036854775807 bytes", {.buffer_numbers = {{2 * buffer + 1, INT64_MAX}}});
    add("AR-15", "A15", "of 73 bytes", {.buffer_numbers = {{2 * buffer + 1, 73}}});
  }
  add("AR-16", "A16", "12 bytes of offsets for 3 rows", {.rows = 3});
  add("AR-16", "A16", "12 bytes of offsets for 1048576 rows", {.rows = 1048576});
  add("AR-16", "A16", "8 bytes of offsets for 2 rows", {.buffer_numbers = {{3, 8}}});
  add("AR-16", "A16", "0 bytes of offsets", {.buffer_numbers = {{3, 0}}});
  add("AR-16", "A16", "from byte -1 to", {.text_offsets = {{0, -1}}});
  add("AR-16", "A16", "from byte 2 to 1", {.text_offsets = {{0, 2}}});
  add("AR-16", "A16", "from byte 0 to -2147483648", {.text_offsets = {{1, INT32_MIN}}});
  add("AR-16", "A16", "from byte 1 to 4", {.text_offsets = {{2, 4}}});
  add("AR-16", "A16", "from byte 1 to 2147483647", {.text_offsets = {{2, INT32_MAX}}});
  add("AR-16", "A16", "within 2 bytes", {.buffer_numbers = {{5, 2}}});
  add("AR-16", "A16", "to 9223372036854775807", {.large = true, .text_offsets = {{2, INT64_MAX}}});
  add("AR-17", "A17", "invalid UTF-8", {.columns = {{"a", "\xFF"}, {"q", "r"}, {"s", "t"}}});
  add("AR-17", "A17", "invalid UTF-8", {.columns = {{"\xC3", "\xA9"}, {"q", "r"}, {"s", "t"}}});
  add("AR-18", "A18", "without an end mark", {.end_mark = false});
  add("AR-19", "A19", "1 bytes behind", {.behind = "x"});
  add("AR-19", "A19", "bytes behind the end mark", {.behind = stream});
  return out;
}

TEST(Malformed, ArrowStreams) {
  std::set<std::string> ids;
  for (int i = 1; i <= 19; ++i) ids.insert("AR-" + std::string(i < 10 ? "0" : "") + std::to_string(i));
  const TempFolder folder;
  expect_all_refused(lies(), 85, ids, [&](const std::string& content) {
    read_arrow_texts(folder.write("data.arrow", content), kWanted, "E-AR");
  });
}

TEST(Malformed, ArrowStreamsThatBreakOffAnywhere) {
  const TempFolder folder;
  const std::string whole = ArrowParts{}.stream();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(refusal([&] {
                   read_arrow_texts(folder.write("data.arrow", whole.substr(0, size)), kWanted, "E-AR");
                 }).empty())
        << size;
}

// Any byte may be anything: the file is read or refused, and texts stay texts.
TEST(Malformed, ArrowStreamsWithOneByteChanged) {
  const TempFolder folder;
  const std::string whole = ArrowParts{}.stream();
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int change : {1, 0x80, 0xFF}) {
      std::string lie = whole;
      lie[at] = static_cast<char>(lie[at] ^ change);
      refusal([&] { read_arrow_texts(folder.write("data.arrow", lie), kWanted, "E-AR"); });
    }
}

}  // namespace
}  // namespace evictbench
