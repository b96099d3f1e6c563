// Files that lie: a table of one fault each, then every truncation and every flipped bit of a header.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <limits>
#include <memory>

#include "models/checkpoint.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_gguf.h"

namespace evictbench {
namespace {

using gguf::raw;

// All that can be asked of a model file.
void open_all(const std::string& path) {
  const Checkpoint checkpoint(path);
  checkpoint.tokenizer().encode("abc ab", {});
  checkpoint.check_weights();
}

struct Case {
  std::string name, code, words;  // the code, or codes, and what is said: POSIX extended
  std::function<std::string()> bytes;
};

class Cases {
 public:
  using Change = std::function<void(GgufToWrite&)>;

  void add(const std::string& name, const std::string& code, const std::string& words, const Change& change) {
    add_to(tiny_gguf, name, code, words, change);
  }
  void add_bpe(const std::string& name, const std::string& code, const std::string& words,
               const Change& change) {
    add_to(tiny_bpe_gguf, name, code, words, change);
  }
  void add_bytes(const std::string& name, const std::string& code, const std::string& words,
                 const std::string& bytes) {
    cases_.push_back({name, code, words, [bytes] { return bytes; }});
  }
  const std::vector<Case>& all() const { return cases_; }

 private:
  void add_to(GgufToWrite (*base)(), const std::string& name, const std::string& code,
              const std::string& words, const Change& change) {
    cases_.push_back({name, code, words, [base, change] {
                        GgufToWrite file = base();
                        change(file);
                        return file.bytes();
                      }});
  }
  std::vector<Case> cases_;
};

void expect_all_refused(const Cases& cases, std::size_t least) {
  const TempFolder folder;
  for (const Case& each : cases.all()) {
    SCOPED_TRACE(each.name);
    const std::string path = folder.write("model.gguf", each.bytes());
    const std::string message = refusal([&] { open_all(path); });
    EXPECT_THAT(message, testing::ContainsRegex("^error.(" + each.code + "). "));
    EXPECT_THAT(message, testing::ContainsRegex(each.words));
  }
  EXPECT_GE(cases.all().size(), least);
}

constexpr std::uint64_t kHuge[] = {std::uint64_t{1} << 32, std::uint64_t{1} << 61, std::uint64_t{1} << 63,
                                   std::numeric_limits<std::uint64_t>::max(),
                                   std::numeric_limits<std::uint64_t>::max() - 7};

TEST(GgufMalformed, TheSoundOnesOpen) {
  const TempFolder folder;
  for (const GgufToWrite& file : {tiny_gguf(), tiny_bpe_gguf()})
    EXPECT_NO_THROW(open_all(folder.write("m.gguf", file.bytes())));
}

TEST(GgufMalformed, Start) {
  Cases cases;
  using namespace std::string_literals;
  for (const std::string& start : {""s, "G"s, "GGU"s, "GGUf"s, "FUGG"s, "\0\0\0\0"s, "gguf"s})
    cases.add_bytes("magic " + start, "E-GG-01", "the file begins with", start);
  cases.add_bytes("zip", "E-GG-01", "zip archive", "PK\x03\x04rest of it");
  cases.add_bytes("gzip", "E-GG-01", "gzip", "\x1f\x8b\x08rest of it");
  cases.add_bytes("pickle", "E-GG-01", "pickle", "\x80\x02rest of it");
  cases.add_bytes("pointer", "E-GG-01", "git lfs pull", "version https://git-lfs.github.com/spec/v1\n");
  cases.add_bytes("page", "E-GG-01", "HTML", "<!DOCTYPE html><html></html>");
  for (const std::string& old : {"lmgg"s, "tjgg"s, "fmgg"s, "algg"s})
    cases.add_bytes(old, "E-GG-01", "older than GGUF", old + "\1\0\0\0"s);
  for (const std::uint32_t version : {0U, 1U, 4U, 255U, 0xffffffffU})
    cases.add("version " + std::to_string(version), "E-GG-02", "GGUF version",
              [=](GgufToWrite& f) { f.version = version; });
  for (const std::uint32_t version : {0x02000000U, 0x03000000U})
    cases.add("big-endian", "E-GG-02", "big-endian", [=](GgufToWrite& f) { f.version = version; });
  for (const std::uint64_t count : kHuge) {
    cases.add("tensors " + std::to_string(count), "E-GG-03",
              "tensors; expected at most [0-9]+, which is what fits",
              [=](GgufToWrite& f) { f.tensor_count = count; });
    cases.add("keys " + std::to_string(count), "E-GG-03", "keys; expected at most [0-9]+, which is what fits",
              [=](GgufToWrite& f) { f.key_count = count; });
  }
  cases.add("one key too few", "E-GG-(12|14|16)", "",
            [](GgufToWrite& f) { f.key_count = f.keys.size() - 1; });
  cases.add("one key too many", "E-GG-(05|07)", "", [](GgufToWrite& f) { f.key_count = f.keys.size() + 1; });
  cases.add("one tensor too many", "E-GG-(04|05|12|14)", "",
            [](GgufToWrite& f) { f.tensor_count = f.tensors.size() + 1; });
  expect_all_refused(cases, 30);
}

TEST(GgufMalformed, Keys) {
  Cases cases;
  const auto with_key_bytes = [&](const std::string& name, const std::string& code, const std::string& words,
                                  const std::string& key) {
    // A first key whose text is given with its length; the others follow.
    cases.add_bytes(name, code, words, [&] {
      GgufToWrite f = tiny_gguf();
      f.key_count = f.keys.size() + 1;
      std::string bytes = f.bytes();
      return bytes.insert(24, key + gguf::u32(1));
    }());
  };
  for (const std::uint64_t length : kHuge)
    with_key_bytes("key of " + std::to_string(length), "E-GG-05", "a length of [0-9]+ bytes for a key",
                   raw(length) + "k");
  with_key_bytes("long key", "E-GG-05", "65536 bytes for a key; expected at most",
                 raw<std::uint64_t>(65536) + std::string(65536, 'k'));
  with_key_bytes("empty key", "E-GG-06", "without a name", gguf::text(""));
  with_key_bytes("key with escape", "E-GG-06", "x1b", gguf::text("a\x1b[31mb"));
  with_key_bytes("key of no UTF-8", "E-GG-06", "xff", gguf::text("a\xff"));
  with_key_bytes("key of a surrogate", "E-GG-06", "plain", gguf::text("a\xed\xa0\x80"));
  for (const std::uint32_t kind : {13U, 255U, 0xffffffffU})
    cases.add("kind " + std::to_string(kind), "E-GG-07", "value type [0-9]+ of the key x; expected 0 to 12",
              [=](GgufToWrite& f) { f.set("x", raw(kind) + raw(0U)); });
  for (const int value : {2, 7, 255})
    cases.add("bool", "E-GG-07", "a BOOL of", [=](GgufToWrite& f) { f.set("x", gguf::boolean(value)); });
  cases.add("bools", "E-GG-07", "a BOOL of 9", [](GgufToWrite& f) {
    f.set("x", gguf::array(gguf::kBool, 3, {1, 0, 9}));
  });
  for (const std::uint64_t length : kHuge) {
    cases.add("text of " + std::to_string(length), "E-GG-05", "bytes for a text",
              [=](GgufToWrite& f) { f.set("x", raw<std::uint32_t>(gguf::kText) + raw(length) + "t"); });
    for (const std::uint32_t kind : {gguf::kU8, gguf::kF32, gguf::kText, gguf::kF64, gguf::kBool})
      cases.add("array of " + std::to_string(length), "E-GG-09",
                "which is what the rest of the file can hold",
                [=](GgufToWrite& f) { f.set("x", gguf::array(kind, length, "")); });
  }
  cases.add("array of arrays", "E-GG-09", "an array of arrays", [](GgufToWrite& f) {
    f.set("x", gguf::array(gguf::kArray, 1, raw<std::uint32_t>(gguf::kU8) + raw<std::uint64_t>(1) + "a"));
  });
  cases.add("array of nothing known", "E-GG-07", "value type 77",
            [](GgufToWrite& f) { f.set("x", gguf::array(77, 1, "aaaaaaaa")); });
  cases.add("twice", "E-GG-08", "the key llama.vocab_size a second time",
            [](GgufToWrite& f) { f.keys.emplace_back("llama.vocab_size", gguf::u32(8)); });
  cases.add("twice in a row", "E-GG-08", "a second time",
            [](GgufToWrite& f) { f.keys.insert(f.keys.begin(), f.keys.front()); });
  const std::pair<const char*, std::string> alignments[] = {{"0", gguf::u32(0)},
                                                            {"3", gguf::u32(3)},
                                                            {"48", gguf::u32(48)},
                                                            {"huge", gguf::u32(1U << 31)},
                                                            {"above", gguf::u32(1U << 21)},
                                                            {"negative", gguf::i32(-32)},
                                                            {"wide", gguf::u64(std::uint64_t{1} << 40)}};
  for (const auto& [name, value] : alignments)
    cases.add(std::string("alignment ") + name, "E-GG-(11|31)", "general.alignment",
              [=](GgufToWrite& f) { f.set("general.alignment", value); });
  cases.add("alignment in words", "E-GG-31", "type STRING; expected an integer",
            [](GgufToWrite& f) { f.set("general.alignment", gguf::string("32")); });
  cases.add("alignment that is not kept", "E-GG-18", "expected a multiple of 64",
            [](GgufToWrite& f) { f.set("general.alignment", gguf::u32(64)); });
  expect_all_refused(cases, 55);
}

TEST(GgufMalformed, Tensors) {
  Cases cases;
  constexpr const char* kQ = "blk.0.attn_q.weight";
  const auto change = [&](const std::string& name, const std::string& code, const std::string& words,
                          const std::function<void(GgufToWrite::Tensor&)>& act) {
    cases.add(name, code, words, [=](GgufToWrite& f) { act(f.tensor(kQ)); });
  };
  change("no name", "E-GG-12", "a tensor named ''", [](auto& t) { t.name = ""; });
  change("long name", "E-GG-05", "65 bytes for the name of a tensor; expected at most 64",
         [](auto& t) { t.name = std::string(65, 'n'); });
  change("line in a name", "E-GG-12", "plain characters", [](auto& t) { t.name = "a\nb"; });
  change("name of no UTF-8", "E-GG-12", "plain characters", [](auto& t) { t.name = "a\xc0\x80"; });
  change("twice", "E-GG-13", "the tensor token_embd.weight a second time",
         [](auto& t) { t.name = "token_embd.weight"; });
  for (const std::uint32_t dims : {5U, 255U, 0xffffffffU})
    change("dims", "E-GG-14", "dimensions; expected at most 4", [=](auto& t) { t.dim_count = dims; });
  for (const std::uint64_t dim : {std::uint64_t{1} << 63, std::numeric_limits<std::uint64_t>::max()})
    change("a huge dim", "E-GG-14", "a dimension of", [=](auto& t) { t.dims[1] = dim; });
  using Dims = std::vector<std::uint64_t>;
  constexpr std::uint64_t k32 = std::uint64_t{1} << 32, k62 = std::uint64_t{1} << 62;
  for (const Dims& dims : {Dims{k32, k32},
                           {k32, k32, 2},
                           {k62, 4},
                           {4, k62},
                           {0, k62, k62},
                           {k62, 0, k62},
                           {k32 / 2, k32 / 2, 4, 1},
                           {k62 + 16, 4},
                           {k62 - 8, 1},
                           {8, k62 + 8}})
    change("overflow", "E-GG-15", "overflows", [=](auto& t) { t.dims = dims; });
  for (const std::uint32_t type : {4U, 5U, 31U, 33U, 36U, 38U, 42U, 1000U, 0xffffffffU})
    change("type " + std::to_string(type), "E-GG-16", "tensor type [0-9]+; expected a type of ggml, such as",
           [=](auto& t) { t.type = type; });
  struct Unread {
    std::uint32_t type, elements, bytes;
  };
  for (const auto& [type, elements, bytes] :
       {Unread{9, 32, 40}, {15, 256, 292}, {16, 256, 66}, {17, 256, 74},  {18, 256, 98}, {19, 256, 50},
        {20, 32, 18},      {21, 256, 110}, {22, 256, 82}, {23, 256, 136}, {24, 1, 1},    {25, 1, 2},
        {26, 1, 4},        {27, 1, 8},     {28, 1, 8},    {29, 256, 56},  {34, 256, 54}, {35, 256, 66},
        {39, 32, 17},      {40, 64, 36},   {41, 128, 18}})
    change("type " + std::to_string(type), "E-GG-16", "is known to the format, not supported here",
           [=](auto& t) {
             t.type = type;
             t.dims = {elements, 1};
             t.data.assign(bytes, '\0');
           });
  for (const std::uint32_t type : {2U, 3U, 6U, 7U, 8U, 10U, 11U, 12U, 13U, 14U, 20U, 34U, 39U})
    change("block " + std::to_string(type), "E-GG-17", "rows of 8 elements of type",
           [=](auto& t) { t.type = type; });
  for (const std::uint64_t offset : {1U, 31U, 33U, 290U})
    change("misaligned", "E-GG-18", "a multiple of 32", [=](auto& t) { t.offset = offset; });
  change("overlap, the same", "E-GG-19", "token_embd.weight and blk.0.attn_q.weight overlap",
         [](auto& t) { t.offset = 0; });
  change("overlap, within", "E-GG-19", "overlap", [](auto& t) { t.offset = 32; });
  change("overlap, partly", "E-GG-19", "overlap", [](auto& t) { t.offset = 256; });
  for (const std::uint64_t offset :
       {std::uint64_t{1} << 20, std::uint64_t{1} << 63, std::numeric_limits<std::uint64_t>::max() - 31})
    change("behind the file", "E-GG-21", "ends behind the file", [=](auto& t) { t.offset = offset; });
  change("too large for the file", "E-GG-21", "ends behind the file", [](auto& t) { t.dims = {8, 1 << 20}; });
  cases.add("a gap", "E-GG-20", "32 bytes belong to no tensor, before blk.0.attn_norm.weight",
            [](GgufToWrite& f) {
              std::uint64_t offset = 0;
              for (auto& tensor : f.tensors) {
                tensor.offset = offset + (&tensor == f.tensors.data() ? 0 : 32);
                offset += (tensor.data.size() + 31) / 32 * 32;
              }
              f.tail.assign(64, '\0');
            });
  cases.add("no tensors", "E-GG-34", "token_embd.weight: the tensor is absent",
            [](GgufToWrite& f) { f.tensors.clear(); });
  cases.add("under two names", "E-GG-13", "a second tensor that stands for model.norm.weight",
            [](GgufToWrite& f) {
              f.tensors.push_back({"model.norm.weight", {8}, 0, std::string(32, '\0')});
            });
  for (const char* name : {"blk.0.ffn_gate_inp.weight", "blk.0.attn_rot_embd.weight", "blk.x.attn_q.weight",
                           "mm.0.weight", "whatever", "blk.1.attn_q.weight", "blk.0.attn_q.weight.lora_a"})
    cases.add(std::string("unknown ") + name, "E-ST-3[24]", "", [=](GgufToWrite& f) {
      f.tensors.push_back({name, {8}, 0, std::string(32, '\0')});
    });
  for (const char* name :
       {"token_embd.weight", "blk.0.attn_norm.weight", kQ, "blk.0.attn_k.weight", "blk.0.attn_v.weight",
        "blk.0.attn_output.weight", "blk.0.ffn_norm.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight",
        "blk.0.ffn_down.weight", "output_norm.weight"}) {
    cases.add(std::string("without ") + name, "E-(GG-34|ST-30)", "absent",
              [=](GgufToWrite& f) { f.erase_tensor(name); });
    cases.add(std::string("one row more in ") + name, "E-(GG-34|ST-31)", "", [=](GgufToWrite& f) {
      auto& tensor = f.tensor(name);
      const std::size_t row = tensor.data.size() / (tensor.dims.size() == 1 ? 8 : tensor.dims[1]);
      tensor.dims.back() += 1;
      tensor.data.append(row, '\0');
    });
  }
  cases.add("NaN", "E-ST-26", "nan at index 3", [](GgufToWrite& f) {
    f.tensor(kQ).data.replace(12, 4, raw(std::numeric_limits<float>::quiet_NaN()));
  });
  cases.add("infinite scale", "E-ST-26", "model.layers.0.mlp.down_proj.weight", [](GgufToWrite& f) {
    f.tensor("blk.0.ffn_down.weight").data.replace(34, 2, raw(std::uint16_t{0x7c00}));
  });
  expect_all_refused(cases, 100);
}

TEST(GgufMalformed, Model) {
  Cases cases;
  const char* required[] = {"general.architecture",
                            "llama.block_count",
                            "llama.context_length",
                            "llama.embedding_length",
                            "llama.feed_forward_length",
                            "llama.attention.head_count",
                            "llama.attention.layer_norm_rms_epsilon"};
  for (const std::string key : required) {
    cases.add("without " + key, "E-GG-30", key + ": the key is absent",
              [=](GgufToWrite& f) { f.erase(key); });
    cases.add("misspelt " + key, "E-GG-30", "nearest is " + key + "s", [=](GgufToWrite& f) {
      std::ranges::find(f.keys, key, [](const auto& k) { return k.first; })->first += "s";
    });
  }
  const char* counts[] = {"llama.block_count",          "llama.context_length",
                          "llama.embedding_length",     "llama.feed_forward_length",
                          "llama.attention.head_count", "llama.attention.head_count_kv"};
  const std::pair<const char*, std::string> bad_counts[] = {
      {"a word", gguf::string("1")},
      {"a fraction", gguf::f32(1)},
      {"a list", gguf::i32s({1, 1})},
      {"a flag", gguf::boolean(1)},
      {"0", gguf::u32(0)},
      {"-1", gguf::i32(-1)},
      {"2^31", gguf::u32(1U << 31)},
      {"2^64 - 1", gguf::u64(std::numeric_limits<std::uint64_t>::max())}};
  for (const std::string key : counts)
    for (const auto& [name, value] : bad_counts)
      cases.add(key + " is " + name, "E-GG-31", key + ": .*; expected an integer",
                [key, v = value](GgufToWrite& f) { f.set(key, v); });
  const std::pair<const char*, std::string> bad_numbers[] = {
      {"a word", gguf::string("1e-5")},
      {"an integer", gguf::u32(1)},
      {"NaN", gguf::f32(std::numeric_limits<float>::quiet_NaN())},
      {"infinite", gguf::f32(std::numeric_limits<float>::infinity())},
      {"negative", gguf::f32(-1)},
      {"infinite too", gguf::f64(-std::numeric_limits<double>::infinity())}};
  for (const std::string key : {"llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base"})
    for (const auto& [name, value] : bad_numbers)
      cases.add(key + " is " + name, "E-GG-31", key, [key, v = value](GgufToWrite& f) { f.set(key, v); });
  for (const char* architecture :
       {"", "LLAMA", "llama ", "mamba", "bert", "t5", "clip", "falcon", "qwen2moe", "llama\n"})
    cases.add(std::string("architecture ") + architecture, "E-GG-32", "one of llama, qwen2",
              [=](GgufToWrite& f) { f.set("general.architecture", gguf::string(architecture)); });
  cases.add("architecture of no UTF-8", "E-GG-31", "not UTF-8",
            [](GgufToWrite& f) { f.set("general.architecture", gguf::string("\xff")); });
  cases.add("experts", "E-GG-32", "mixture of experts",
            [](GgufToWrite& f) { f.set("llama.expert_count", gguf::u32(8)); });
  cases.add("split", "E-GG-33", "one part of a model in 3 files", [](GgufToWrite& f) {
    f.set("split.count", raw<std::uint32_t>(gguf::kU16) + raw(std::uint16_t{3}));
  });
  cases.add("adapter", "E-GG-33", "merge the adapter",
            [](GgufToWrite& f) { f.set("general.type", gguf::string("adapter")); });
  cases.add("projector", "E-GG-33", "mmproj",
            [](GgufToWrite& f) { f.set("general.type", gguf::string("mmproj")); });
  cases.add("wide keys", "E-ST-31", "num_attention_heads 2 x head_dim 8",
            [](GgufToWrite& f) { f.set("llama.attention.key_length", gguf::u32(8)); });
  cases.add("other values", "E-GG-31", "values of 8 elements beside keys of 4",
            [](GgufToWrite& f) { f.set("llama.attention.value_length", gguf::u32(8)); });
  cases.add("3 heads", "E-GG-31", "key_length: the key is absent",
            [](GgufToWrite& f) { f.set("llama.attention.head_count", gguf::u32(3)); });
  cases.add("more KV heads", "E-CF-0[46]|E-CF-J06", "",
            [](GgufToWrite& f) { f.set("llama.attention.head_count_kv", gguf::u32(4)); });
  cases.add("2 layers", "E-ST-(30|32)", "", [](GgufToWrite& f) { f.set("llama.block_count", gguf::u32(2)); });
  cases.add("vocab_size", "E-GG-34", "llama.vocab_size: 9 tokens; expected 8",
            [](GgufToWrite& f) { f.set("llama.vocab_size", gguf::u32(9)); });
  cases.add("fewer tokens", "E-GG-34", "tokenizer.ggml.tokens: 2 tokens; expected 8", [](GgufToWrite& f) {
    f.set("tokenizer.ggml.tokens", gguf::texts({"a", "b"}));
  });
  cases.add("no tokens", "E-GG-34", "0 tokens",
            [](GgufToWrite& f) { f.set("tokenizer.ggml.tokens", gguf::texts({})); });
  cases.add("a table of one row of numbers", "E-GG-34", "an embedding table of shape",
            [](GgufToWrite& f) { f.tensor("token_embd.weight").dims = {64}; });
  for (const std::string key :
       {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    for (const std::string& value :
         {gguf::u32(8), gguf::i32(-1), gguf::u32(0xffffffffU), gguf::string("</s>")})
      cases.add(key, "E-GG-31", key, [=](GgufToWrite& f) { f.set(key, value); });
  cases.add("rotary dims", "E-GG-31", "8 of 4 elements",
            [](GgufToWrite& f) { f.set("llama.rope.dimension_count", gguf::u32(8)); });
  expect_all_refused(cases, 100);
}

TEST(GgufMalformed, Rope) {
  Cases cases;
  constexpr const char* kType = "llama.rope.scaling.type";
  const auto factors = [](GgufToWrite& f, const std::vector<float>& values) {
    f.tensors.push_back({"rope_freqs.weight", {values.size()}, gguf::kTypeF32, gguf::bytes_of(values)});
  };
  for (const char* type : {"ntk", "LINEAR", "dynamic", "llama3", ""})
    cases.add(std::string("scaling ") + type, "E-GG-35", "expected none, linear, yarn", [=](GgufToWrite& f) {
      f.set(kType, gguf::string(type));
      f.set("llama.rope.scaling.factor", gguf::f32(2));
    });
  for (const char* type : {"linear", "yarn"})
    cases.add(std::string(type) + " without factor", "E-GG-30", "scaling.factor: the key is absent",
              [=](GgufToWrite& f) { f.set(kType, gguf::string(type)); });
  cases.add("yarn without a context", "E-GG-30", "original_context_length", [](GgufToWrite& f) {
    f.set(kType, gguf::string("yarn"));
    f.set("llama.rope.scaling.factor", gguf::f32(2));
  });
  cases.add("yarn with a multiplier", "E-GG-35", "a yarn scaling with", [](GgufToWrite& f) {
    f.set(kType, gguf::string("yarn"));
    f.set("llama.rope.scaling.factor", gguf::f32(2));
    f.set("llama.rope.scaling.original_context_length", gguf::u32(32));
    f.set("llama.rope.scaling.yarn_log_multiplier", gguf::f32(0.1F));
  });
  cases.add("type of a type", "E-GG-31", "expected STRING",
            [](GgufToWrite& f) { f.set(kType, gguf::u32(1)); });
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& values : std::vector<std::vector<float>>{{1}, {}, {1, 8, 8}})
    cases.add("factors", "E-GG-35", "expected 2, one for two elements",
              [=](GgufToWrite& f) { factors(f, values); });
  for (const std::vector<float>& values :
       std::vector<std::vector<float>>{{8, 1},
                                       {2, 8},
                                       {1, -8},
                                       {1, kNan},
                                       {kNan, 8},
                                       {0, 0},
                                       {1, std::numeric_limits<float>::infinity()},
                                       {3, 3}})
    cases.add("factors of nothing, " + std::to_string(values[0]) + " " + std::to_string(values[1]), "E-GG-35",
              "no llama3 scaling in use gives", [=](GgufToWrite& f) { factors(f, values); });
  cases.add("factors and scaling", "E-GG-35", "beside rope_freqs.weight", [=](GgufToWrite& f) {
    factors(f, {1, 8});
    f.set(kType, gguf::string("linear"));
  });
  cases.add("halved factors", "E-GG-35", "type F16", [](GgufToWrite& f) {
    f.tensors.push_back({"rope_freqs.weight", {2}, gguf::kTypeF16, "abcd"});
  });
  cases.add("long factors alone", "E-GG-35", "rope_factors_short.weight: the tensor is absent",
            [](GgufToWrite& f) {
              f.tensors.push_back({"rope_factors_long.weight", {2}, gguf::kTypeF32, raw(1.0F) + raw(2.0F)});
            });
  expect_all_refused(cases, 20);
}

TEST(GgufMalformed, Tokenizer) {
  Cases cases;
  constexpr const char *kTokens = "tokenizer.ggml.tokens", *kTypes = "tokenizer.ggml.token_type",
                       *kScores = "tokenizer.ggml.scores", *kMerges = "tokenizer.ggml.merges";
  for (const std::string key : {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
                                "tokenizer.ggml.scores"})
    cases.add("without " + key, "E-GG-30", key, [=](GgufToWrite& f) { f.erase(key); });
  for (const std::string key : {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
                                "tokenizer.ggml.merges"})
    cases.add_bpe("without " + key, "E-GG-30", key, [=](GgufToWrite& f) { f.erase(key); });
  for (const char* kind : {"", "t5", "bert", "rwkv", "none", "LLAMA", "plamo2"})
    cases.add(std::string("kind ") + kind, "E-GG-40", "a tokenizer of kind",
              [=](GgufToWrite& f) { f.set("tokenizer.ggml.model", gguf::string(kind)); });
  for (const std::string key :
       {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores",
        "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix"})
    for (const std::string& value : {gguf::u32(1), gguf::array(gguf::kU8, 1, "a")})
      cases.add("type of " + key, "E-GG-(31|34)", key, [=](GgufToWrite& f) { f.set(key, value); });
  using Tokens = std::vector<std::string>;
  const Tokens odd[] = {{"<unk>", "<s>", "</s>", "", "a", "b", "ab", "c"},
                        {"<unk>", "<s>", "</s>", "d", "a", "a", "ab", "c"},
                        {"<unk>", "<s>", "</s>", "\xff", "a", "b", "ab", "c"},
                        {"<unk>", "<s>", "</s>", std::string(5000, 'x'), "a", "b", "ab", "c"}};
  for (const Tokens& tokens : odd) {
    cases.add("tokens", "E-GG-42", "tokenizer.ggml.tokens/[35]",
              [=](GgufToWrite& f) { f.set(kTokens, gguf::texts(tokens)); });
    cases.add_bpe("tokens", "E-GG-42", "tokenizer.ggml.tokens/[35]",
                  [=](GgufToWrite& f) { f.set(kTokens, gguf::texts(tokens)); });
  }
  for (const std::int32_t type : {0, 7, -1, INT32_MAX, INT32_MIN})
    cases.add("token type", "E-GG-44", "token_type/4: token type", [=](GgufToWrite& f) {
      f.set(kTypes, gguf::i32s({2, 3, 3, 1, type, 1, 1, 1}));
    });
  cases.add("too few types", "E-GG-42", "7 values; expected 8", [](GgufToWrite& f) {
    f.set(kTypes, gguf::i32s({2, 3, 3, 1, 1, 1, 1}));
  });
  cases.add("too many types", "E-GG-42", "9 values; expected 8", [](GgufToWrite& f) {
    f.set(kTypes, gguf::i32s({2, 3, 3, 1, 1, 1, 1, 1, 1}));
  });
  cases.add("no unknown token", "E-GG-44", "no token of type 2", [](GgufToWrite& f) {
    f.set(kTypes, gguf::i32s({3, 3, 3, 1, 1, 1, 1, 1}));
  });
  cases.add("two unknown tokens", "E-TM-11", "2 unknown pieces", [](GgufToWrite& f) {
    f.set(kTypes, gguf::i32s({2, 2, 3, 1, 1, 1, 1, 1}));
  });
  cases.add("a byte that is none", "E-TM-12", "of type byte", [](GgufToWrite& f) {
    f.set(kTypes, gguf::i32s({2, 3, 3, 1, 1, 1, 6, 1}));
  });
  cases.add("a lone control character", "E-TM-10", "unused or a control token", [](GgufToWrite& f) {
    f.set(kTypes, gguf::i32s({2, 3, 3, 1, 3, 1, 1, 1}));
  });
  for (const float score : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()})
    cases.add("score", "E-GG-45", "scores/5", [=](GgufToWrite& f) {
      f.set(kScores, gguf::f32s({0, 0, 0, 0, 0, score, 0, 0}));
    });
  cases.add("too few scores", "E-GG-42", "1 values; expected 8",
            [](GgufToWrite& f) { f.set(kScores, gguf::f32s({0})); });
  cases.add("rules for text", "E-GG-40", "rules that rewrite text", [](GgufToWrite& f) {
    f.set("tokenizer.ggml.precompiled_charsmap", gguf::array(gguf::kU8, 3, "abc"));
  });
  cases.add("no BOS to add", "E-GG-46", "bos_token_id: the key is absent",
            [](GgufToWrite& f) { f.erase("tokenizer.ggml.bos_token_id"); });
  for (const auto& base : {&Cases::add, &Cases::add_bpe})
    (cases.*base)("no EOS to add", "E-GG-46", "eos_token_id: the key is absent", [](GgufToWrite& f) {
      f.erase("tokenizer.ggml.eos_token_id");
      f.set("tokenizer.ggml.add_eos_token", gguf::boolean(1));
    });
  for (const char* pre : {"default", "", "GPT-2", "falcon", "deepseek-llm", "(a+)+$"})
    cases.add_bpe(std::string("cut by ") + pre, "E-GG-41", "the pre-tokenizer",
                  [=](GgufToWrite& f) { f.set("tokenizer.ggml.pre", gguf::string(pre)); });
  cases.add_bpe("cut by nothing", "E-GG-41", "the key is absent",
                [](GgufToWrite& f) { f.erase("tokenizer.ggml.pre"); });
  cases.add_bpe("cut by 5", "E-GG-31", "expected STRING",
                [](GgufToWrite& f) { f.set("tokenizer.ggml.pre", gguf::u32(5)); });
  for (const char* merge : {"", " ", "a", "ab", " b", "a ", "a  b", "a b c", "  ", "\xff b"})
    cases.add_bpe(std::string("merge ") + merge, "E-GG-43", "merges/1: the merge", [=](GgufToWrite& f) {
      f.set(kMerges, gguf::texts({"a b", merge}));
    });
  for (const char* merge : {"x b", "a x", "b c", "a b"})
    cases.add_bpe(std::string("merge ") + merge, "E-TJ-04", "", [=](GgufToWrite& f) {
      f.set(kMerges, gguf::texts({"a b", merge}));
    });
  cases.add_bpe("merges of numbers", "E-GG-31", "an array of STRING", [=](GgufToWrite& f) {
    f.set(kMerges, gguf::i32s({1, 2}));
  });
  for (const int type : {2, 6})
    cases.add_bpe("type", "E-GG-44", "in a vocabulary of bytes", [=](GgufToWrite& f) {
      f.set(kTypes, gguf::i32s({3, 1, 1, 1, 1, type, 1, 5}));
    });
  expect_all_refused(cases, 70);
}

// Loads, or fails with one of our messages.
void expect_clean(const std::string& path) {
  try {
    open_all(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.exit(), Exit::kInput) << error.what();
    EXPECT_TRUE(is_well_formed(error.what())) << printable(error.what(), 4096);
  }
}

TEST(GgufMalformed, EveryTruncation) {
  const TempFolder folder;
  const std::string bytes = tiny_gguf().bytes(),
                    path = folder.write("m.gguf", bytes);  // the last tensor ends the file
  for (std::size_t size = bytes.size(); size-- > 0;) {
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(size)), 0);
    EXPECT_NE(refusal([&] { open_all(path); }), "") << size;
  }
}

TEST(GgufMalformed, EveryFlippedBitOfTheHeader) {
  const TempFolder folder;
  for (const GgufToWrite& file : {tiny_gguf(), tiny_bpe_gguf()}) {
    const std::string bytes = file.bytes(), path = folder.write("m.gguf", bytes);
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(descriptor, 0);
    const std::size_t header = file.header().size();
    for (std::size_t at = 0; at < header; ++at)
      for (int bit = 0; bit < 8; ++bit) {
        const char flipped = static_cast<char>(bytes[at] ^ 1 << bit);
        ASSERT_EQ(::pwrite(descriptor, &flipped, 1, static_cast<off_t>(at)), 1);
        SCOPED_TRACE(testing::Message() << "bit " << bit << " of byte " << at);
        expect_clean(path);
        ASSERT_EQ(::pwrite(descriptor, &bytes[at], 1, static_cast<off_t>(at)), 1);
      }
    ::close(descriptor);
  }
}

}  // namespace
}  // namespace evictbench
