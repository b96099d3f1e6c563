// Files that are no good safetensors, one line a case; their ids are those of the robustness contract.
#include "models/safetensors.h"
#include "models/stored_weights.h"
#include "tests/support/malformed.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using Cases = std::vector<Malformed>;

std::string number(std::uint64_t value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}
const std::string kGood = entry("a", "F32", "[1]", "[0,4]");

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// Cases of one id with one code: a header each, in braces or not, in front of some data.
class Table {
 public:
  explicit Table(Cases& cases) : cases_(cases) {}

  void file(const std::string& id, const std::string& code, const std::string& words,
            std::vector<std::string> files) {
    for (std::string& each : files) cases_.push_back({id, std::move(each), "E-ST-" + code, words});
  }
  void header(const std::string& id, const std::string& code, const std::string& words, std::size_t data,
              const std::vector<std::string>& headers) {
    for (const std::string& each : headers)
      file(id, code, words, {safetensors_bytes(each, std::string(data, '\0'))});
  }
  // The same with braces around.
  void entries(const std::string& id, const std::string& code, const std::string& words, std::size_t data,
               std::vector<std::string> entries) {
    for (std::string& each : entries) each = "{" + each + "}";
    header(id, code, words, data, entries);
  }

 private:
  Cases& cases_;
};

void add_lengths(Table t) {
  for (std::size_t size = 0; size < 8; ++size)
    t.file("ST-01", "01", "has " + std::to_string(size) + " bytes; expected .*at least 8 bytes",
           {std::string(size, '\2')});
  for (const std::uint64_t length :
       {3ULL, 9ULL, 4096ULL, 65536ULL, 1ULL << 20, 99'999'999ULL, 100'000'000ULL})
    t.file("ST-02", "02", "length of " + std::to_string(length) + " bytes, but 2 bytes follow.*truncated",
           {number(length) + "{}"});
  for (const std::uint64_t length : {100'000'001ULL, 1ULL << 32, 1ULL << 53, (1ULL << 63) - 1, 1ULL << 63,
                                     UINT64_MAX - 8ULL, UINT64_MAX - 7ULL, 0ULL + UINT64_MAX})
    t.file("ST-03", "03", std::to_string(length) + " bytes; expected at most 100000000 .the reference reader",
           {number(length) + "{}"});
  t.file("ST-04", "04", "no tensors", {number(0), number(0) + "xx"});
  t.header("ST-04", "04", "no tensors", 0,
           {"{}", "{ }", "{}   ", R"({"__metadata__":{}})", R"({"__metadata__":{"a":"b"}})"});
  t.header("ST-04", "16", "3 bytes belong to no tensor", 3, {"{}", R"({"__metadata__":{}})"});
}

void add_other_formats(Table t) {
  const std::string rest(200, '\x77');
  t.file("ST-05", "05", "zip archive", {"PK\x03\x04" + rest});
  t.file("ST-05", "05", "pickle.*convert", {"\x80\x02" + rest, "\x80\x04" + rest});
  t.file("ST-05", "05", "gzip", {"\x1f\x8b" + rest});
  t.file("ST-05", "05", "GGUF",
         {std::string("GGUF\x02\0\0\0", 8) + rest, std::string("GGUF\x03\0\0\0", 8) + rest});
  t.file("ST-05", "05", "Git LFS.*git lfs pull",
         {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"});
  t.file("ST-05", "05", "HTML", {"<!DOCTYPE html><html></html>", "<HTML><body>login</body>"});
  t.header("ST-05", "05", "byte 8: the header begins with", 0,
           {" {}", "\n{}", "\xef\xbb\xbf{}", std::string("\0{}", 3),
            "\x7f"
            "ELF",
            "'x'", "a"});
  t.header("ST-05", "05", "byte 8: this is a Python pickle", 0, {"\x80\x02}q.", "\x80\x04}."});
  t.header("ST-05", "05", "byte 8: this is a zip", 0, {"PK\x03\x04.."});
  t.header("ST-09", "05", "byte 8: the header begins with", 0,
           {"[]", "\"x\"", "1", "-1", "null", "true", "[{}]"});
  t.entries("ST-09", "J05", "/a: .*; expected an object", 4,
            {"\"a\":[]", "\"a\":null", "\"a\":7", "\"a\":\"F32\"", "\"a\":true"});
}

void add_texts(Table t) {
  for (const char* bad : {"\xff", "\xc0\x80", "\xc3", "\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xed\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xf8\x88\x80\x80\x80"})
    t.entries("ST-06", "J02", "byte 10: bytes that are not UTF-8", 0, {std::string("\"") + bad + "\":1"});
  t.entries("ST-06", "J01", "not JSON", 0,
            {R"("\ud800":1)", R"("\udc00":1)", R"("\ud800\ud800":1)", R"("\ud800x":1)", R"("\ud8":1)"});
  t.entries("ST-06", "J01", "byte 11: a NUL byte", 0, {std::string("\"a\0b\":1", 7)});

  t.header("ST-07", "J01", "not JSON", 4,
           {"{" + kGood, "{" + kGood + "]", "{" + kGood + "}x", "{" + kGood + "}{}", "{" + kGood + "}}"});
  t.entries("ST-07", "J01", "byte [0-9]+: this is not JSON.* near '", 4,
            {kGood + ",",  "," + kGood, kGood + "/**/",   kGood + "//",      "'a':{}",    "a:{}",
             "\"a\" {}",   "\"a\":",    "\"a\":[1 2]",    "\"a\":tru",       "\"a\":\"",  "\"a\\x\":1",
             "\"a\nb\":1", "\"a\":NaN", "\"a\":Infinity", "\"a\":-Infinity", "\"a\":0x1", "\"a\":+1",
             "\"a\":01",   "\"a\":.5",  "\"a\":1.",       "\"a\":1e",        "\"a\":-",   "\"a\":1e400",
             "\"a\":[}"});
  t.header("ST-07", "07", "padded with white space other than spaces", 4,
           {"{" + kGood + "}\n", "{" + kGood + "}\t", "{" + kGood + "}\r", "{" + kGood + "}   \n"});
  t.header("ST-07", "J01", "a NUL byte", 4, {std::string("{" + kGood + "}") + '\0'});
  t.entries(
      "ST-08", "J03", "deep", 0,
      {"\"a\":" + repeat("[", 64) + repeat("]", 64), "\"a\":" + repeat("{\"b\":", 64) + "1" + repeat("}", 64),
       "\"__metadata__\":" + repeat("[", 65) + repeat("]", 65)});
  t.header("ST-08", "J03", "deep", 0,
           {"{\"a\":" + std::string(1000, '['), "{\"a\":" + std::string(1'000'000, '[')});
  t.entries("ST-24", "J03", "more than 1048576 values", 0, {"\"a\":[" + repeat("0,", 1'050'000) + "0]"});
}

void add_keys(Table t) {
  const std::string other = entry("b", "F32", "[1]", "[4,8]");
  t.entries("ST-10", "J04", "byte 62 /a: the key \"a\" stands here and at byte 9", 4, {kGood + "," + kGood});
  t.entries("ST-10", "J04", "the key \"a\" stands here and at byte 9", 8,
            {kGood + "," + other + "," + R"("\u0061":{})", kGood + "," + other + "," + kGood,
             kGood + R"(,"a":null)"});
  std::string far = kGood;
  for (int i = 0; i < 500; ++i) far += "," + entry("z" + std::to_string(i), "F32", "[0]", "[4,4]");
  t.entries("ST-10", "J04", "\"a\" stands here and at byte 9", 4, {far + "," + kGood});
  t.entries("ST-11", "J04", "/a/(dtype|shape|data_offsets|x)", 4,
            {R"("a":{"dtype":"F32","shape":[1],"dtype":"F32","data_offsets":[0,4]})",
             R"("a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]})",
             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]})",
             R"("a":{"x":1,"x":1})"});
  t.entries(
      "ST-11", "J04", "__metadata__", 4,
      {R"("__metadata__":{},"__metadata__":{},)" + kGood, R"("__metadata__":{"k":"1","k":"1"},)" + kGood});
  t.entries(
      "ST-12", "12",
      "the field \"(dtype|shape|data_offsets)\" is missing; expected dtype, shape and data_offsets", 4,
      {"\"a\":{}", R"("a":{"shape":[1],"data_offsets":[0,4]})", R"("a":{"dtype":"F32","data_offsets":[0,4]})",
       R"("a":{"dtype":"F32","shape":[1]})", R"("a":{"dtype":null,"shape":[1],"data_offsets":[0,4]})",
       R"("a":{"dtype":"F32","shape":null,"data_offsets":[0,4]})",
       R"("a":{"dtype":"F32","shape":[1],"data_offsets":null})",
       R"("a":{"Dtype":"F32","shape":[1],"data_offsets":[0,4]})"});
  t.entries("ST-12", "12", "an extra field \"(x|device)\"", 4,
            {R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1})",
             R"("a":{"device":"cuda","dtype":"F32","shape":[1],"data_offsets":[0,4]})"});
  t.entries("ST-23", "23", "/__metadata__/k", 4,
            {R"("__metadata__":{"k":1})", R"("__metadata__":{"k":null})", R"("__metadata__":{"k":{}})",
             R"("__metadata__":{"k":["x"]})", R"("__metadata__":{"k":true})", R"("__metadata__":{"k":1.5})",
             R"("__metadata__":{"a":"b","k":0},)" + kGood});
  t.entries(
      "ST-23", "J05", "/__metadata__", 4,
      {R"("__metadata__":[])", R"("__metadata__":"x")", R"("__metadata__":1)", R"("__metadata__":null)"});
  t.entries("ST-25", "25", "a tensor without a name", 4, {entry("", "F32", "[1]", "[0,4]")});
  t.entries("ST-25", "25", "control characters in the tensor name", 4,
            {entry("a\\nb", "F32", "[1]", "[0,4]"), entry("a\\u001b[31m", "F32", "[1]", "[0,4]"),
             entry("a\\u0000", "F32", "[1]", "[0,4]"), entry("\\t", "F32", "[1]", "[0,4]"),
             entry("a\x7f", "F32", "[1]", "[0,4]")});
  t.entries("ST-25", "25", "a tensor name of (1025|65536) bytes", 4,
            {entry(std::string(1025, 'n'), "F32", "[1]", "[0,4]"),
             entry(std::string(65536, 'n'), "F32", "[1]", "[0,4]")});
}

void add_values(Table t) {
  for (const char* dtype : {"BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64", "F64", "F4",
                            "F6_E2M3", "F6_E3M2", "C64", "F8_E5M2", "F8_E4M3", "F8_E8M0"})
    t.entries("ST-13", "13", "/a/dtype: .*known to the format, not supported here; expected one of F32", 4,
              {entry("a", dtype, "[1]", "[0,4]")});
  for (const char* dtype :
       {"f32", "float32", "", "F32 ", "F128", "bf16", "BF-16", "F32\\u0000", "torch.float32"})
    t.entries("ST-13", "13", "/a/dtype: unknown dtype", 4, {entry("a", dtype, "[1]", "[0,4]")});
  for (const char* dtype : {"7", "[]", "{}", "true", "[\"F32\"]"})
    t.entries("ST-13", "J05", "/a/dtype", 4,
              {std::string(R"("a":{"dtype":)") + dtype + R"(,"shape":[1],"data_offsets":[0,4]})"});

  const auto offsets = [&](const std::string& code, const std::string& words,
                           const std::vector<std::string>& texts) {
    for (const std::string& text : texts)
      t.entries("ST-14", code, words, 4, {entry("a", "F32", "[1]", text)});
  };
  offsets("14", "/a/data_offsets: data_offsets that is not a list of two",
          {"[]", "[0]", "[0,4,8]", "4", "{}", "\"0,4\"", "true"});
  offsets("14", "begin 4 lies behind end 0", {"[4,0]"});
  offsets("J06", "/a/data_offsets/0", {"[-4,0]", "[-9223372036854775808,4]", "[18446744073709551612,4]"});
  offsets("J05", "/a/data_offsets/1",
          {"[0,4.0]", "[0,4e0]", "[0,1e3]", "[0,\"4\"]", "[0,true]", "[0,null]", "[0,[4]]", "[0,{}]"});
  offsets("J06", "/a/data_offsets/1",
          {"[0,9007199254740993]", "[0,9223372036854775807]", "[0,9223372036854775808]",
           "[0,18446744073709551615]", "[0,18446744073709551620]", "[0,99999999999999999999999]", "[0,-1]"});

  const auto shape = [&](const std::string& id, const std::string& code, const std::string& words,
                         const std::vector<std::string>& texts, const std::string& dtype = "F32",
                         const std::string& span = "[0,4]") {
    for (const std::string& text : texts) t.entries(id, code, words, 4, {entry("a", dtype, text, span)});
  };
  shape("ST-18", "18", "a span of 4 bytes; expected (0|8|12) bytes for f32",
        {"[2]", "[0]", "[1,2]", "[2,0]", "[3]"});
  shape("ST-18", "18", "a span of 4 bytes; expected (2|6) bytes for (f16|bf16)", {"[1]", "[3]", "[]"}, "F16");
  shape("ST-18", "18", "a span of 4 bytes; expected 2 bytes for bf16", {"[1]", "[1,1]"}, "BF16");
  shape("ST-18", "18", "a span of 0 bytes; expected 4 bytes", {"[1]", "[]"}, "F32", "[0,0]");
  for (const char* span : {"[0,0]", "[0,4]"})
    shape("ST-19", "19", "/a/shape: the element count of shape .* overflows",
          {"[4294967296,4294967296]", "[4294967296,4294967296,0]", "[281474976710656,65536]",
           "[281474976710656,281474976710656]", "[2147483648,2147483648,4]",
           "[281474976710655,281474976710655]", "[65536,65536,65536,65536]"},
          "F32", span);
  shape("ST-19", "J06", "/a/shape/0",
        {"[9223372036854775808,2]", "[18446744073709551615,2]", "[4611686018427387904,4]"});
  shape("ST-21", "J06", "/a/shape/[01]", {"[281474976710657]", "[1,-1]", "[-1]", "[9223372036854775807]"});
  shape("ST-21", "J05", "/a/shape/[01]",
        {"[1.0]", "[1e0]", "[true]", "[\"1\"]", "[null]", "[[1]]", "[1,{}]"});
  shape("ST-21", "J05", "/a/shape", {"1", "\"1\"", "true", "1.5"});
  shape("ST-21", "21", "(33|1000) dimensions; expected at most 32",
        {"[1" + repeat(",1", 32) + "]", "[1" + repeat(",1", 999) + "]"});
}

void add_spans(Table t) {
  const auto pair = [](const std::string& a, const std::string& b) {
    return entry("a", "F32", "[2]", a) + "," + entry("b", "F32", "[1]", b);
  };
  t.entries("ST-15", "15", R"("b" \[0, 4\) and tensor "a" \[0, 8\) overlap)", 8, {pair("[0,8]", "[0,4]")});
  t.entries("ST-15", "15", "\"a\".*\"b\".*overlap", 8,
            {pair("[0,8]", "[4,8]"), pair("[0,8]", "[2,6]"), pair("[0,8]", "[7,11]")});
  t.entries("ST-15", "15", "overlap", 4, {kGood + "," + entry("b", "F32", "[1]", "[0,4]")});
  t.entries("ST-15", "15", "overlap", 8,
            {entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[0]", "[4,4]")});
  std::string many = kGood;
  for (int i = 0; i < 20000; ++i) many += "," + entry(std::to_string(i), "F32", "[1]", "[0,4]");
  t.entries("ST-15", "15", "overlap", 4, {many});
  t.entries("ST-16", "16", "4 bytes belong to no tensor, before tensor \"a\"", 16,
            {pair("[4,12]", "[12,16]")});
  t.entries("ST-16", "16", "4 bytes belong to no tensor, before tensor \"b\"", 16,
            {pair("[0,8]", "[12,16]")});
  t.entries("ST-16", "16", "1 bytes belong to no tensor at the end", 13, {pair("[0,8]", "[8,12]")});
  t.entries("ST-16", "16", "belong to no tensor, before tensor \"b\"", 16,
            {pair("[0,8]", "[1073741824,1073741828]"), pair("[0,8]", "[9007199254740988,9007199254740992]")});
  t.file("ST-16", "16", "26 bytes belong to no tensor at the end",
         {safetensors_bytes("{" + kGood + "}", "0123PK\x03\x04" + std::string(22, '.'))});
  t.entries("ST-17", "17", "file ends here, 1 bytes are missing; expected .* \\(tensor \"b\".*stopped early",
            11, {pair("[0,8]", "[8,12]")});
  t.entries("ST-17", "17", "12 bytes are missing", 0, {pair("[0,8]", "[8,12]")});
  t.entries("ST-17", "17", "1073741824 bytes are missing", 0,
            {entry("a", "F32", "[268435456]", "[0,1073741824]")});
  t.entries("ST-17", "17", "4503599627370496 bytes are missing", 0,  // 4 PiB that nothing may allocate
            {entry("a", "F32", "[4,281474976710656]", "[0,4503599627370496]"),
             entry("a", "F16", "[32768,68719476736]", "[0,4503599627370496]")});
}

TEST(MalformedSafetensors, AreRefusedByName) {
  Cases cases;
  for (const auto add : {add_lengths, add_other_formats, add_texts, add_keys, add_values, add_spans})
    add(Table(cases));
  const TempFolder folder;
  expect_all_refused(cases, 260, {"ST-01", "ST-02", "ST-03", "ST-04", "ST-05", "ST-06", "ST-07", "ST-08",
                                  "ST-09", "ST-10", "ST-11", "ST-12", "ST-13", "ST-14", "ST-15", "ST-16",
                                  "ST-17", "ST-18", "ST-19", "ST-21", "ST-23", "ST-24", "ST-25"},
                     [&](const std::string& content) {
                       folder.write("model.safetensors", content);
                       SafetensorsFolder(folder.path());
                     });
}

// --- ST-26 ---

TEST(NonfiniteWeights, AreFoundWhereverTheyStand) {
  struct Value {
    DType dtype;
    std::string bytes, shown;
  };
  using namespace std::string_literals;
  const Value values[] = {{DType::kF32, "\0\0\xc0\x7f"s, "nan"}, {DType::kF32, "\1\0\x80\x7f"s, "nan"},
                          {DType::kF32, "\0\0\x80\x7f"s, "inf"}, {DType::kF32, "\0\0\x80\xff"s, "-inf"},
                          {DType::kF16, "\0\x7e"s, "nan"},       {DType::kF16, "\1\x7c"s, "nan"},
                          {DType::kF16, "\0\x7c"s, "inf"},       {DType::kF16, "\0\xfc"s, "-inf"},
                          {DType::kBF16, "\xc0\x7f"s, "nan"},    {DType::kBF16, "\x81\xff"s, "-?nan"},
                          {DType::kBF16, "\x80\x7f"s, "inf"},    {DType::kBF16, "\x80\xff"s, "-inf"}};
  const TempFolder folder;
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  for (const auto& [dtype, bytes, shown] : values)
    for (const std::size_t at : {0u, 7u, 16u, 34u}) {
      SCOPED_TRACE(shown + " at " + std::to_string(at));
      TensorToWrite tensor = TensorToWrite::zeros(name, dtype, {5, 7});
      tensor.bytes.replace(at * bytes.size(), bytes.size(), bytes);
      folder.write("model.safetensors", safetensors_bytes(std::span(&tensor, 1)));
      const SafetensorsFolder files(folder.path());
      const StoredWeights strict(files, false), lenient(files, true);
      const std::string words = name + ": " + shown + " at index " + std::to_string(at) +
                                " of \\[5, 7\\] .row-major., 1 such values in all; expected finite weights";
      std::vector<std::byte> all(tensor.bytes.size());
      expect_refusal([&] { strict.load(name); }, "E-ST-26", words);
      expect_refusal([&] { strict.rows(name).read(0, all); }, "E-ST-26", words);
      expect_refusal([&] { check_finite(files); }, "E-ST-26", words);
      EXPECT_EQ(refusal([&] { lenient.load(name), lenient.rows(name).read(0, all); }), "");
      EXPECT_EQ(std::memcmp(all.data(), tensor.bytes.data(), all.size()), 0);
      const int row = static_cast<int>(at) / 7;  // the rows before it and behind it are good
      const auto row_bytes = 7 * size_of(dtype);
      if (row > 0) strict.rows(name).read(0, std::span(all).first(static_cast<std::size_t>(row) * row_bytes));
      if (row < 4)
        strict.rows(name).read(row + 1, std::span(all).first(static_cast<std::size_t>(4 - row) * row_bytes));
    }
}

// Every half there is, and what is next to an infinity in f32, at every place of a word.
TEST(NonfiniteWeights, AreToldFromAllOthers) {
  for (const DType dtype : {DType::kF16, DType::kBF16})
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
      const auto half = static_cast<std::uint16_t>(bits);
      const float value = dtype == DType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
      for (std::size_t at : {bits % 7, 4 + bits % 3, 19 + bits % 2}) {
        std::vector<std::uint16_t> all(21, 0xfbff & 0xff7f);  // large and negative in both
        all[at] = half;
        ASSERT_EQ(has_nonfinite(dtype, std::as_bytes(std::span(all))), !std::isfinite(value))
            << bits << " at " << at;
      }
    }
  for (const std::uint32_t bits : {0u, 1u, 0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u, 0x7f800001u,
                                   0xffffffffu, 0x80000000u, 0x7f000000u, 0x00800000u, 0x3f800000u})
    for (std::size_t at = 0; at < 11; ++at) {
      std::vector<std::uint32_t> all(11, 0xff7fffffu);
      all[at] = bits;
      float value = 0;
      std::memcpy(&value, &bits, sizeof value);
      EXPECT_EQ(has_nonfinite(DType::kF32, std::as_bytes(std::span(all))), !std::isfinite(value))
          << bits << " at " << at;
    }
  EXPECT_FALSE(has_nonfinite(DType::kF32, {}));
}

}  // namespace
}  // namespace evictbench
