#include "models/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "models/config.h"
#include "models/family.h"
#include "models/weights_check.h"
#include "tests/support/no_file.h"
#include "tests/support/refusal.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::Test;

std::string bytes_of(const SafetensorsFolder& weights, const std::string& name) {
  std::string bytes(weights.find(name)->bytes, '\0');
  weights.read(name, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

std::string number(std::uint64_t value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

// An entry of a header.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

class Safetensors : public Test {
 protected:
  SafetensorsFolder open() const { return SafetensorsFolder(folder.path()); }
  void write(const std::string& bytes) const { folder.write("model.safetensors", bytes); }
  void refuse(const std::string& bytes, const std::string& code, const std::string& words) const {
    SCOPED_TRACE(printable(bytes, 300));
    write(bytes);
    expect_refusal([&] { open(); }, code, words);
  }
  void refuse_header(const std::string& header, std::size_t data, const std::string& code,
                     const std::string& words) const {
    refuse(safetensors_bytes(header, std::string(data, '\0')), code, words);
  }

  TempFolder folder;
};

TEST_F(Safetensors, ReadsEveryDtypeExactly) {
  const float values[] = {1.5F, -0.0F, 3e38F, 1e-45F, 0.1F, -7.25F};
  const TensorToWrite tensors[] = {
      TensorToWrite::f32("a", {2, 3}, values),
      {"half", DType::kF16, {2}, "\x01\x02\x03\x04"},
      {"brain", DType::kBF16, {3}, "abcdef"},
  };
  write(safetensors_bytes(tensors));
  const SafetensorsFolder weights = open();
  ASSERT_EQ(weights.tensors().size(), 3u);
  for (const TensorToWrite& tensor : tensors) {
    const StoredTensor* stored = weights.find(tensor.name);
    ASSERT_NE(stored, nullptr);
    EXPECT_EQ(stored->dtype, tensor.dtype);
    EXPECT_EQ(stored->shape, tensor.shape);
    EXPECT_EQ(stored->file, folder / "model.safetensors");
    EXPECT_EQ(bytes_of(weights, tensor.name), tensor.bytes);
  }
  EXPECT_EQ(weights.find("b"), nullptr);
  EXPECT_EQ(weights.notes().size(), 1u);  // ST-33: several dtypes
}

TEST_F(Safetensors, AcceptsWhatTheFormatAllows) {
  const auto accept = [&](const std::string& header, std::size_t data, std::size_t tensors) {
    SCOPED_TRACE(printable(header, 300));
    write(safetensors_bytes(header, std::string(data, 'x')));
    EXPECT_EQ(open().tensors().size(), tensors);
  };
  const std::string a = entry("a", "F32", "[1]", "[0,4]");
  accept("{" + a + "}", 4, 1);
  accept("{" + a + "}     ", 4, 1);                            // padded
  accept("{ " + a + "\n\t}", 4, 1);                            // space inside
  accept("{" + entry("s", "F32", "[]", "[0,4]") + "}", 4, 1);  // ST-20 scalar
  accept("{" + a + "," + entry("z", "F32", "[0]", "[4,4]") + "," + entry("b", "F16", "[1]", "[4,6]") + "}", 6,
         3);
  accept("{" + entry("z", "F32", "[0]", "[0,0]") + "}", 0, 1);
  accept("{" + entry("z", "F32", "[3,0,281474976710656]", "[0,0]") + "}", 0, 1);
  accept("{" + entry("b", "F32", "[1]", "[4,8]") + "," + a + "}", 8, 2);  // not in data order
  accept("{" + entry("h", "F16", "[1]", "[0,2]") + "," + entry("m", "F32", "[1]", "[2,6]") + "}", 6,
         2);  // ST-22
  accept("{\"__metadata__\":{\"format\":\"pt\",\"x\":\"</script>\"}," + a + "}", 4, 1);
  accept("{\"__metadata__\":{}," + a + "}", 4, 1);
  accept("{\"__metadata__\":{\"big\":\"" + std::string(1 << 20, 'm') + "\"}," + a + "}", 4, 1);
  accept("{" + entry("../é", "F32", "[1]", "[0,4]") + "}", 4, 1);  // a name is a name, not a path
  accept(R"({"\u0061":{"data_offsets":[0,4],"dtype":"F32","shape":[1]}})", 4, 1);
}

TEST_F(Safetensors, RefusesABadLength) {
  for (std::size_t size = 0; size < 8; ++size)
    refuse(std::string(size, '\0'), "E-ST-01",
           "has " + std::to_string(size) + " bytes; expected .*at least 8 bytes");
  refuse(number(3) + "{}", "E-ST-02", "length of 3 bytes, but 2 bytes follow");
  refuse(number(100'000'000) + "{}", "E-ST-02", "100000000 bytes, but 2 bytes follow");
  for (const std::uint64_t length :
       {std::uint64_t{100'000'001}, std::uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7})
    refuse(number(length) + "{}", "E-ST-03", std::to_string(length) + " bytes; expected at most 100000000");
  refuse(number(0), "E-ST-04", "no tensors");
  refuse(number(0) + "xx", "E-ST-04", "no tensors");
  refuse(safetensors_bytes("{}", ""), "E-ST-04", "no tensors");
  refuse(safetensors_bytes("{}", "x"), "E-ST-16", "1 bytes belong to no tensor");
  refuse(safetensors_bytes(R"({"__metadata__":{}})", ""), "E-ST-04", "no tensors");
}

TEST_F(Safetensors, NamesOtherFormats) {
  const std::string rest(200, '\x77');
  refuse("PK\x03\x04" + rest, "E-ST-05", "zip archive");
  refuse("\x80\x02" + rest, "E-ST-05", "pickle.*convert");
  refuse("\x1f\x8b" + rest, "E-ST-05", "gzip");
  refuse(std::string("GGUF\x03\0\0\0", 8) + rest, "E-ST-05", "GGUF");
  refuse("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "E-ST-05",
         "Git LFS.*git lfs pull");
  refuse("<!DOCTYPE html><html></html>", "E-ST-05", "HTML");
  for (const char* start : {" {}", "\xef\xbb\xbf{}", "[]", "\"x\"", "1", "null"})
    refuse_header(start, 0, "E-ST-05", "byte 8: the header begins with");
  refuse_header("\x80\x02}q.", 0, "E-ST-05", "byte 8: this is a Python pickle");
  refuse_header("PK\x03\x04..", 0, "E-ST-05", "byte 8: this is a zip");
}

TEST_F(Safetensors, RefusesABadHeader) {
  const std::string a = entry("a", "F32", "[1]", "[0,4]");
  refuse_header("{\"\xff\":1}", 0, "E-ST-J02", "byte 10: bytes that are not UTF-8");
  refuse_header("{\"\xc0\x80\":1}", 0, "E-ST-J02", "byte 10");
  refuse_header("{\"\\ud800\":1}", 0, "E-ST-J01", "not JSON");
  refuse_header(std::string("{\"a\0b\":1}", 9), 0, "E-ST-J01", "NUL");
  refuse_header("{" + a, 4, "E-ST-J01", "not JSON");
  refuse_header("{" + a + ",}", 4, "E-ST-J01", "not JSON.*near");
  refuse_header("{" + a + "/**/}", 4, "E-ST-J01", "not JSON");
  refuse_header("{" + a + "}x", 4, "E-ST-J01", "not JSON");
  refuse_header("{" + a + "}{}", 4, "E-ST-J01", "not JSON");
  refuse_header(std::string("{" + a + "}") + '\0', 4, "E-ST-J01", "NUL");
  refuse_header("{" + a + "}\n", 4, "E-ST-07", "padded");
  refuse_header("{" + a + "}\t", 4, "E-ST-07", "padded");
  refuse_header("{\"a\":" + std::string(64, '[') + std::string(64, ']') + "}", 0, "E-ST-J03", "deep");
  refuse_header("{\"a\":" + std::string(1000000, '['), 0, "E-ST-J03", "deep");
  refuse_header("{" + a + "," + a + "}", 4, "E-ST-J04",
                "byte 62 /a: the key \"a\" stands here and at byte 9");
  refuse_header("{" + a + "," + entry("b", "F32", "[1]", "[4,8]") + "," + R"("\u0061":{}})", 8, "E-ST-J04",
                "\"a\"");
  refuse_header(R"({"a":{"dtype":"F32","shape":[1],"dtype":"F32","data_offsets":[0,4]}})", 4, "E-ST-J04",
                "/a/dtype");
  refuse_header("{\"__metadata__\":{},\"__metadata__\":{}," + a + "}", 4, "E-ST-J04", "__metadata__");
}

TEST_F(Safetensors, RefusesABadEntry) {
  const auto refuse_entry = [&](const std::string& text, const std::string& code, const std::string& words) {
    refuse_header("{" + text + "}", 4, code, words);
  };
  refuse_entry("\"a\":[]", "E-ST-J05", "byte 13 /a: an array; expected an object");
  refuse_entry("\"a\":null", "E-ST-J05", "null");
  refuse_entry("\"a\":{}", "E-ST-12", "\"dtype\" is missing");
  refuse_entry(R"("a":{"dtype":"F32","shape":[1]})", "E-ST-12", "\"data_offsets\" is missing");
  refuse_entry(R"("a":{"dtype":"F32","data_offsets":[0,4]})", "E-ST-12", "\"shape\" is missing");
  refuse_entry(R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1})", "E-ST-12",
               "extra field \"x\"");
  for (const char* dtype : {"F8_E8M0", "F4", "F6_E2M3", "F8_E4M3", "I64", "U8", "BOOL", "F64", "C64"})
    refuse_entry(entry("a", dtype, "[1]", "[0,4]"), "E-ST-13",
                 "/a/dtype: .*known to the format, not supported here; expected one of F32");
  for (const char* dtype : {"f32", "float32", "", "F32 ", "F128"})
    refuse_entry(entry("a", dtype, "[1]", "[0,4]"), "E-ST-13", "unknown dtype");
  refuse_entry(R"("a":{"dtype":7,"shape":[1],"data_offsets":[0,4]})", "E-ST-J05", "/a/dtype: an integer '7");

  for (const char* offsets : {"[]", "[0]", "[0,4,8]", "4", "{}", "\"0,4\""})
    refuse_entry(entry("a", "F32", "[1]", offsets), "E-ST-14", "not a list of two");
  refuse_entry(entry("a", "F32", "[1]", "[4,0]"), "E-ST-14", "begin 4 lies behind end 0");
  refuse_entry(entry("a", "F32", "[1]", "[-4,0]"), "E-ST-J06", "/a/data_offsets/0: -4");
  refuse_entry(entry("a", "F32", "[1]", "[0,4.0]"), "E-ST-J05", "/a/data_offsets/1");
  refuse_entry(entry("a", "F32", "[1]", "[0,4e0]"), "E-ST-J05", "/a/data_offsets/1");
  refuse_entry(entry("a", "F32", "[1]", "[0,\"4\"]"), "E-ST-J05", "/a/data_offsets/1");
  refuse_entry(entry("a", "F32", "[1]", "[0,true]"), "E-ST-J05", "/a/data_offsets/1");
  refuse_entry(entry("a", "F32", "[1]", "[0,9007199254740993]"), "E-ST-J06", "/a/data_offsets/1");
  refuse_entry(entry("a", "F32", "[1]", "[0,18446744073709551620]"), "E-ST-J06", "18446744073709551620");

  for (const char* shape : {"[2]", "[0]", "[1,2]", "[2,0]"})
    refuse_entry(entry("a", "F32", shape, "[0,4]"), "E-ST-18",
                 "a span of 4 bytes; expected [08] bytes for f32");
  refuse_entry(entry("a", "F32", "[4294967296,4294967296]", "[0,0]"), "E-ST-19", "overflows");
  refuse_entry(entry("a", "F32", "[4294967296,4294967296,0]", "[0,0]"), "E-ST-19", "overflows");
  refuse_entry(entry("a", "F16", "[281474976710656,65536]", "[0,0]"), "E-ST-19", "overflows");
  refuse_entry(entry("a", "F32", "[9223372036854775808,2]", "[0,0]"), "E-ST-J06", "/a/shape/0");
  refuse_entry(entry("a", "F32", "[18446744073709551615,2]", "[0,4]"), "E-ST-J06", "/a/shape/0");
  refuse_entry(entry("a", "F32", "[281474976710657]", "[0,4]"), "E-ST-J06", "/a/shape/0");
  refuse_entry(entry("a", "F32", "[1,-1]", "[0,4]"), "E-ST-J06", "/a/shape/1: -1");
  refuse_entry(entry("a", "F32", "[1.0]", "[0,4]"), "E-ST-J05", "/a/shape/0");
  refuse_entry(entry("a", "F32", "[true]", "[0,4]"), "E-ST-J05", "/a/shape/0");
  refuse_entry(entry("a", "F32", "1", "[0,4]"), "E-ST-J05", "/a/shape");
  refuse_entry(entry("a", "F32", "\"1\"", "[0,4]"), "E-ST-J05", "/a/shape");
  std::string ones = "[1";
  for (int i = 0; i < 32; ++i) ones += ",1";
  refuse_entry(entry("a", "F32", ones + "]", "[0,4]"), "E-ST-21", "33 dimensions");

  for (const char* value : {"1", "null", "{}", "[\"x\"]", "true"})
    refuse_entry(std::string("\"__metadata__\":{\"k\":") + value + "}", "E-ST-23", "/__metadata__/k");
  refuse_entry("\"__metadata__\":[]", "E-ST-J05", "/__metadata__");
  refuse_entry(entry("", "F32", "[1]", "[0,4]"), "E-ST-25", "without a name");
  refuse_entry(entry("a\\nb\\u001b", "F32", "[1]", "[0,4]"), "E-ST-25", R"(a\\x0ab\\x1b)");
  refuse_entry(entry("a\\u0000", "F32", "[1]", "[0,4]"), "E-ST-25", R"(a\\x00)");
  refuse_entry(entry(std::string(1 << 16, 'n'), "F32", "[1]", "[0,4]"), "E-ST-25", "65536 bytes");
}

TEST_F(Safetensors, RefusesDataThatIsNotCoveredOnce) {
  const auto pair = [](const std::string& a, const std::string& b) {
    return "{" + entry("a", "F32", "[2]", a) + "," + entry("b", "F32", "[1]", b) + "}";
  };
  refuse_header(pair("[0,8]", "[0,4]"), 8, "E-ST-15", R"("b" \[0, 4\) and tensor "a" \[0, 8\) overlap)");
  refuse_header(pair("[0,8]", "[4,8]"), 8, "E-ST-15", "\"a\".*\"b\".*overlap");
  refuse_header(pair("[0,8]", "[2,6]"), 8, "E-ST-15", "overlap");
  refuse_header("{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("b", "F32", "[1]", "[0,4]") + "}", 4,
                "E-ST-15", "overlap");
  refuse_header("{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[0]", "[4,4]") + "}", 8,
                "E-ST-15", "overlap");
  refuse_header(pair("[4,12]", "[12,16]"), 16, "E-ST-16", "4 bytes belong to no tensor, before tensor \"a\"");
  refuse_header(pair("[0,8]", "[12,16]"), 16, "E-ST-16", "4 bytes belong to no tensor, before tensor \"b\"");
  refuse_header(pair("[0,8]", "[8,12]"), 13, "E-ST-16", "1 bytes belong to no tensor at the end");
  refuse_header(pair("[0,8]", "[8,12]"), 11, "E-ST-17",
                "file ends here, 1 bytes are missing; expected .* \\(tensor \"b\".*stopped early");
  refuse_header(pair("[0,8]", "[1073741824,1073741828]"), 16, "E-ST-16", "before tensor \"b\"");
  refuse_header("{" + entry("a", "F32", "[268435456]", "[0,1073741824]") + "}", 0, "E-ST-17",
                "1073741824 bytes are missing");
}

TEST_F(Safetensors, SaysItsLimitOfTensors) {
  std::string header = "{";
  for (int i = 0; i < 300000; ++i) header += (i ? "," : "") + entry(std::to_string(i), "F32", "[0]", "[0,0]");
  refuse_header(header + "}", 0, "E-ST-J03", "more than 2097152 values");
}

TEST_F(Safetensors, RefusesWhatIsNoModelFolder) {
  expect_refusal([&] { open(); }, "E-ST-42", "there are no weights");
  expect_refusal([&] { SafetensorsFolder(folder / "absent"); }, "E-ST-F01", "no such file");
  expect_refusal([&] { SafetensorsFolder(folder.write("f", "x")); }, "E-ST-42", "this is a file");
  for (const char* name : {"pytorch_model.bin", "a.pt", "a.pth", "a.ckpt"}) {
    const TempFolder only;
    only.write(name, "\x80\x02");
    expect_refusal([&] { SafetensorsFolder(only.path()); }, "E-ST-42",
                   "only pickled weights.*never opened. Mend: convert them");
  }
  folder.write("model-q4.gguf", "GGUF");
  expect_refusal([&] { open(); }, "E-ST-42", "model-q4.gguf.*name the .gguf file");
}

TEST_F(Safetensors, RefusesWhatIsNoFile) {
  expect_no_file_is_refused(folder / "model.safetensors", "E-ST", [&] { open(); });
  expect_no_file_is_refused(folder / "model.safetensors.index.json", "E-ST", [&] { open(); });
}

TEST_F(Safetensors, FollowsLinks) {  // ST-41: a Hugging Face cache is made of them
  const TempFolder cache;
  cache.write("blob", safetensors_bytes("{" + entry("a", "F32", "[1]", "[0,4]") + "}", "1234"));
  std::filesystem::create_symlink(cache / "blob", folder / "model.safetensors");
  EXPECT_EQ(bytes_of(open(), "a"), "1234");
  std::filesystem::remove(cache / "blob");
  expect_refusal([&] { open(); }, "E-ST-F01", "a link to \"" + cache.path());
  std::filesystem::remove(folder / "model.safetensors");
  std::filesystem::create_symlink("model.safetensors", folder / "model.safetensors");
  expect_refusal([&] { open(); }, "E-ST-F06", "links");
}

TEST_F(Safetensors, NoticesThatAFileShrinksAfterOpening) {
  write(safetensors_bytes("{" + entry("a", "F32", "[2]", "[0,8]") + "}", "12345678"));
  const SafetensorsFolder weights = open();
  const std::uint64_t size = std::filesystem::file_size(folder / "model.safetensors");
  std::filesystem::resize_file(folder / "model.safetensors", size - 3);
  expect_refusal([&] { bytes_of(weights, "a"); }, "E-ST-F09", "became shorter");
}

class Sharded : public Safetensors {
 protected:
  void shard(const std::string& name, const std::string& tensor) const {
    folder.write(name, safetensors_bytes("{" + entry(tensor, "F32", "[1]", "[0,4]") + "}  ", "1234"));
  }
  void index(const std::string& text) const { folder.write("model.safetensors.index.json", text); }
  void map(const std::string& text) const {
    index("{\"metadata\":{\"total_size\":8},\"weight_map\":{" + text + "}}");
  }
  void refuse_index(const std::string& text, const std::string& code, const std::string& words) const {
    SCOPED_TRACE(printable(text, 300));
    index(text);
    expect_refusal([&] { open(); }, code, words);
  }
};

TEST_F(Sharded, ReadsFromEveryShard) {
  shard("m-1.safetensors", "a");
  const TempFolder cache;
  cache.write("blob", safetensors_bytes("{" + entry("b", "F32", "[1]", "[0,4]") + "}  ", "5678"));
  std::filesystem::create_symlink(cache / "blob", folder / "m-2.safetensors");
  map(R"("a":"m-1.safetensors","b":"m-2.safetensors")");
  EXPECT_EQ(bytes_of(open(), "a"), "1234");
  EXPECT_EQ(bytes_of(open(), "b"), "5678");
  EXPECT_EQ(open().find("b")->file, folder / "m-2.safetensors");
  EXPECT_TRUE(open().notes().empty());

  shard("consolidated.safetensors", "c");
  EXPECT_THAT(open().notes(),
              testing::ElementsAre(testing::HasSubstr("consolidated.safetensors is ignored")));
  shard("model.safetensors", "x");  // ST-38
  EXPECT_EQ(open().tensors().size(), 1u);
  EXPECT_THAT(open().notes(), testing::ElementsAre(testing::HasSubstr("model.safetensors is used")));
}

TEST_F(Sharded, RefusesABadIndex) {
  refuse_index("", "E-ST-F07", "empty");
  refuse_index("[]", "E-ST-J05", "an array; expected an object");
  refuse_index("{}", "E-ST-J07", "\"weight_map\" is absent");
  refuse_index(R"({"weight_map":[]})", "E-ST-J05", "/weight_map: an array");
  refuse_index(R"({"weight_map":{}})", "E-ST-37", "no tensors");
  refuse_index(R"({"weight_map":{"a":1}})", "E-ST-J05", "1:20 /weight_map/a: an integer '1");
  refuse_index(R"({"weight_map":{"a":null}})", "E-ST-J05", "/weight_map/a");
  refuse_index(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})", "E-ST-J04", "/weight_map/a");
  refuse_index(R"({"weight_map":{"a":"x.safetensors"})", "E-ST-J01", "not JSON");
}

TEST_F(Sharded, ChecksMetadataWhereThereIsAny) {
  const auto with = [](const std::string& metadata) {
    return "{" + metadata +
           R"("weight_map":{"model.embed_tokens.weight":"m-1.safetensors","b":"m-2.safetensors"}})";
  };
  shard("m-1.safetensors", "model.embed_tokens.weight");
  shard("m-2.safetensors", "b");
  for (const char* good :
       {"", R"("metadata":null,)", R"("metadata":{},)", R"("metadata":{"total_size":8,"x":[]},)",
        R"("metadata":{"total_size":8.0},)", R"("metadata":{"total_size":12},)"}) {
    index(with(good));
    EXPECT_TRUE(open().notes().empty()) << good;
  }
  for (const char* bad : {"[]", "7", "\"x\"", "true"})
    refuse_index(with(std::string("\"metadata\":") + bad + ","), "E-ST-37",
                 "/metadata: metadata that is no object");
  for (const char* bad : {"9", "0", "8.5", "1e300", "16"})
    refuse_index(
        with(std::string(R"("metadata":{"total_size":)") + bad + "},"), "E-ST-37",
        "1:[0-9]+ /metadata/total_size: total_size .* does not fit the tensors; expected 8, the sum");
  for (const char* bad : {"\"8\"", "true", "[8]", "{}"})
    refuse_index(with(std::string(R"("metadata":{"total_size":)") + bad + "},"), "E-ST-J05",
                 "/metadata/total_size");
  refuse_index(with(R"("metadata":{"total_size":-8},)"), "E-ST-J06", "/metadata/total_size: -8");
}

TEST_F(Sharded, RefusesNamesThatLeaveTheFolder) {
  for (const char* name : {"/etc/x.safetensors",
                           "../x.safetensors",
                           "a/../b.safetensors",
                           "a/b.safetensors",
                           "./b.safetensors",
                           "a\\\\b.safetensors",
                           "C:\\\\b.safetensors",
                           "C:b.safetensors",
                           "//b.safetensors",
                           ".",
                           "..",
                           "",
                           ".safetensors",
                           ".hidden.safetensors",
                           "a\\u0000.safetensors",
                           "~/b.safetensors",
                           "~b.safetensors",
                           "%2e%2e%2fb.safetensors",
                           "http://h/b.safetensors",
                           "b.safetensors ",
                           "b.safetensors.",
                           " b.safetensors",
                           "a\u2215b.safetensors",
                           "a\uff0fb.safetensors",
                           "b.bin",
                           "b.SAFETENSORS",
                           "b\\n.safetensors",
                           "$HOME.safetensors"})
    refuse_index(std::string(R"({"weight_map":{"lm_head.weight":")") + name + "\"}}", "E-ST-40",
                 "1:33 /weight_map/lm_head.weight: .*points outside the model folder");
  refuse_index(R"({"weight_map":{"a":")" + std::string(5000, 'a') + ".safetensors\"}}", "E-ST-40", "outside");
}

TEST_F(Sharded, RefusesShardsThatDoNotFit) {
  map(R"("a":"m-1.safetensors","b":"m-2.safetensors","c":"m-3.safetensors")");
  shard("m-1.safetensors", "a");
  std::filesystem::create_symlink("blob", folder / "m-3.safetensors");
  expect_refusal([&] { open(); }, "E-ST-36",
                 "2 of 3 shards.*m-2.safetensors, m-3.safetensors .a link to \"blob\"");
  std::filesystem::remove(folder / "m-3.safetensors");

  shard("m-2.safetensors", "a");
  map(R"("a":"m-1.safetensors","b":"m-2.safetensors")");
  expect_refusal([&] { open(); }, "E-ST-35",
                 "m-2.safetensors:byte .*tensor \"a\" is here and in .*m-1.safetensors");
  shard("m-2.safetensors", "c");
  expect_refusal([&] { open(); }, "E-ST-37", "tensor \"c\" of m-2.safetensors is not in the map");
  shard("m-2.safetensors", "b");
  map(R"("a":"m-2.safetensors","b":"m-1.safetensors")");
  expect_refusal([&] { open(); }, "E-ST-37",
                 "puts this tensor in m-1.safetensors, but it is in m-2|puts this tensor in m-2");
  map(R"("a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors")");
  expect_refusal([&] { open(); }, "E-ST-37", "/weight_map/c: m-2.safetensors holds no tensor");
  folder.write("m-2.safetensors", "x");
  expect_refusal([&] { open(); }, "E-ST-01", "m-2.safetensors: the file has 1 bytes");
}

// Every truncation and every change of a byte of a small valid file loads or is refused; nothing else happens.
TEST_F(Safetensors, SurvivesEveryDamage) {
  const float values[] = {1, 2};
  const TensorToWrite tensors[] = {TensorToWrite::f32("a", {2}, values),
                                   {"b", DType::kBF16, {1, 3}, "abcdef"}};
  const std::string good = safetensors_bytes(tensors);
  const std::size_t data = 8 + 6;
  const auto load = [&](const std::string& bytes) {
    write(bytes);
    return refusal([&] {
      const SafetensorsFolder weights = open();
      for (const auto& [name, tensor] : weights.tensors())
        EXPECT_EQ(bytes_of(weights, name).size(), tensor.bytes);
    });
  };
  ASSERT_EQ(load(good), "");
  for (std::size_t size = 0; size < good.size(); ++size) ASSERT_NE(load(good.substr(0, size)), "") << size;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string bad = good;
      bad[at] = static_cast<char>(byte);
      const std::string message = load(bad);
      const bool harmless = at + data >= good.size() || bad == good;  // a changed weight is still a weight
      if (harmless || at < 8) {
        ASSERT_EQ(message.empty(), harmless) << "byte " << at << ": " << message;
      }
    }
}

// --- weights against a config ---

constexpr const char* kConfig =
    R"({"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":12,
  "intermediate_size":20,"num_hidden_layers":2,"num_attention_heads":3,"num_key_value_heads":1,"head_dim":6,"vocab_size":10,
  "max_position_embeddings":64,"rms_norm_eps":1e-5,"rope_theta":10000.0,"hidden_act":"silu","tie_word_embeddings":false})";

std::vector<TensorToWrite> llama_tensors() {
  std::vector<TensorToWrite> all = {TensorToWrite::zeros("model.embed_tokens.weight", DType::kF32, {10, 12}),
                                    TensorToWrite::zeros("model.norm.weight", DType::kF16, {12}),
                                    TensorToWrite::zeros("lm_head.weight", DType::kF32, {10, 12})};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const auto add = [&](const char* name, std::vector<std::int64_t> shape) {
      all.push_back(
          TensorToWrite::zeros(std::string(layer) + name + ".weight", DType::kBF16, std::move(shape)));
    };
    add("input_layernorm", {12});
    add("self_attn.q_proj", {18, 12});
    add("self_attn.k_proj", {6, 12});
    add("self_attn.v_proj", {6, 12});
    add("self_attn.o_proj", {12, 18});
    add("post_attention_layernorm", {12});
    add("mlp.gate_proj", {20, 12});
    add("mlp.up_proj", {20, 12});
    add("mlp.down_proj", {12, 20});
  }
  return all;
}

class Weights : public Safetensors {
 protected:
  TensorToWrite& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const TensorToWrite& t) { return t.name == name; });
  }
  void reshape(const std::string& name, std::vector<std::int64_t> shape) {
    tensor(name) = TensorToWrite::zeros(name, DType::kF32, std::move(shape));
  }
  void check() {
    write(safetensors_bytes(tensors));
    JsonRules rules;
    rules.code_prefix = "E-CF";
    const Json json = Json::from_text(kConfig, "config.json", rules);
    DecoderConfig config = family_of(json).config(json);
    config.tied_embeddings = tied;
    check_tensors(open(), usual_names(config), config);
  }
  void refuse_weights(const std::string& code, const std::string& words) {
    expect_refusal([&] { check(); }, code, words);
    tensors = llama_tensors();
    tied = false;
  }

  std::vector<TensorToWrite> tensors = llama_tensors();
  bool tied = false;
};

TEST_F(Weights, AcceptsAWholeModel) {
  EXPECT_EQ(refusal([&] { check(); }), "");
  tensors.push_back(TensorToWrite::zeros("model.layers.1.self_attn.rotary_emb.inv_freq", DType::kF32, {3}));
  tensors.push_back(TensorToWrite::zeros("model.rotary_emb.inv_freq", DType::kF32, {3}));
  EXPECT_EQ(refusal([&] { check(); }), "");
  tied = true;  // the head equals the embedding
  EXPECT_EQ(refusal([&] { check(); }), "");
  std::erase_if(tensors, [](const TensorToWrite& t) { return t.name == "lm_head.weight"; });
  EXPECT_EQ(refusal([&] { check(); }), "");
}

TEST_F(Weights, RefusesAbsentTensors) {
  for (const TensorToWrite& gone : llama_tensors()) {
    SCOPED_TRACE(gone.name);
    std::erase_if(tensors, [&](const TensorToWrite& t) { return t.name == gone.name; });
    refuse_weights("E-ST-30",
                   gone.name + ": the tensor is absent; nearest are .*; expected a tensor of this name");
  }
  std::erase_if(tensors, [](const TensorToWrite& t) { return t.name == "lm_head.weight"; });
  refuse_weights("E-ST-30", "tie_word_embeddings");
  for (TensorToWrite& t : tensors)
    if (t.name.starts_with("model.")) t.name.erase(0, 6);
  refuse_weights("E-ST-30", "has the prefix \"\" in place of \"model.\"");
  for (TensorToWrite& t : tensors)
    if (t.name.starts_with("model.")) t.name.replace(0, 6, "transformer.");
  refuse_weights("E-ST-30", "prefix \"transformer.\"");
}

TEST_F(Weights, RefusesWrongShapes) {
  for (const TensorToWrite& wrong : llama_tensors()) {
    SCOPED_TRACE(wrong.name);
    std::vector<std::int64_t> shape = wrong.shape;
    ++shape.back();
    reshape(wrong.name, shape);
    refuse_weights("E-ST-31", wrong.name + ": shape .*; expected \\[.*\\] \\(.*(_size|head_dim)");
  }
  for (const char* name :
       {"model.layers.1.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight", "lm_head.weight"}) {
    std::vector<std::int64_t> shape = tensor(name).shape;
    std::swap(shape[0], shape[1]);
    reshape(name, shape);
    refuse_weights("E-ST-31", "transposed");
  }
  reshape("model.layers.0.self_attn.q_proj.weight", {24, 12});
  refuse_weights("E-ST-31",
                 "num_attention_heads 3 x head_dim 6.*head_dim=6, but the file fits 8: set \"head_dim\": 8");
  reshape("model.layers.0.self_attn.o_proj.weight", {12, 24});
  refuse_weights("E-ST-31", "the file fits 8: set \"head_dim\": 8");
  reshape("model.layers.0.self_attn.k_proj.weight", {18, 12});
  refuse_weights("E-ST-31", "fits \"num_key_value_heads\": 3");
  reshape("model.norm.weight", {1, 12});
  refuse_weights("E-ST-31", "shape \\[1, 12\\]; expected \\[12\\] \\(hidden_size\\)");
  reshape("model.norm.weight", {});
  refuse_weights("E-ST-31", "shape \\[\\]; expected");
  reshape("model.embed_tokens.weight", {11, 12});
  refuse_weights("E-ST-31", "expected \\[10, 12\\] \\(vocab_size, hidden_size\\)");
}

TEST_F(Weights, RefusesAnotherNumberOfLayers) {
  tensors.push_back(TensorToWrite::zeros("model.layers.2.input_layernorm.weight", DType::kF32, {12}));
  refuse_weights("E-ST-32", "layers 0 to 2; expected layers 0 to 1 .num_hidden_layers 2");
  std::erase_if(tensors, [](const TensorToWrite& t) { return t.name.starts_with("model.layers.1."); });
  refuse_weights("E-ST-32", "layers 0 to 0; expected layers 0 to 1");
}

TEST_F(Weights, RefusesUnexpectedTensors) {
  const std::pair<const char*, const char*> kCases[] = {
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "LoRA.*merge_and_unload"},
      {"model.layers.0.self_attn.q_proj.qweight", "quantised.*dequantise"},
      {"model.layers.0.self_attn.q_proj.qzeros", "quantised"},
      {"model.layers.0.self_attn.q_proj.scales", "quantised"},
      {"model.layers.0.self_attn.q_proj.weight_scale", "quantised"},
      {"model.layers.0.self_attn.q_proj.weight_packed", "quantised"},
      {"model.layers.0.self_attn.q_proj.weight.absmax", "quantised"},
      {"model.layers.0.self_attn.q_proj.bias", "a bias"},
      {"model.layers.00.input_layernorm.weight",
       "is it meant to be model.layers.\\{\\}.input_layernorm.weight"},
      {"model.layers.0.input_layernom.weight", "is it meant"},
      {"model.layers.0.self_attn.q_norm.weight", "unexpected tensor"},
      {"model.layers.99999999999999999999.mlp.up_proj.weight", "unexpected tensor"},
      {"model.layers.-1.mlp.up_proj.weight", "unexpected tensor"},
      {"\u202evisual.patch", "u202evisual.patch: an unexpected tensor"},
  };
  for (const auto& [name, words] : kCases) {
    SCOPED_TRACE(name);
    tensors.push_back(TensorToWrite::zeros(name, DType::kF32, {1}));
    refuse_weights("E-ST-34", words);
  }
}

TEST_F(Weights, RefusesATiedHeadThatDiffers) {
  tied = true;
  tensor("lm_head.weight").bytes[7] = 1;
  refuse_weights("E-ST-30", "differs from the embedding table");
}

}  // namespace
}  // namespace evictbench
