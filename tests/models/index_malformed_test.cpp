// Indexes of shards, and folders, that are no good; ids of the robustness contract. Files that are none: no_file.h.
#include <filesystem>

#include "models/safetensors.h"
#include "tests/support/malformed.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

std::string shard_of(const std::string& tensor) {
  const TensorToWrite tensors[] = {TensorToWrite::zeros(tensor, DType::kF32, {1})};
  return safetensors_bytes(tensors);
}

// Indexes beside two good shards, one with the tensor model.embed_tokens.weight and one with b.
class Indexes {
 public:
  void text(const std::string& id, const std::string& code, const std::string& words,
            const std::vector<std::string>& texts) {
    for (const std::string& each : texts) cases.push_back({id, each, "E-ST-" + code, words});
  }
  void map(const std::string& id, const std::string& code, const std::string& words,
           const std::vector<std::string>& maps) {
    for (const std::string& each : maps) text(id, code, words, {"{\"weight_map\":{" + each + "}}"});
  }
  void metadata(const std::string& code, const std::string& words, const std::vector<std::string>& values) {
    for (const std::string& each : values)
      text("ST-37", code, words,
           {"{\"metadata\":" + each +
            R"(,"weight_map":{"model.embed_tokens.weight":"m-1.safetensors","b":"m-2.safetensors"}})"});
  }
  void total(const std::string& code, const std::string& words, const std::vector<std::string>& values) {
    for (const std::string& each : values) metadata(code, words, {R"({"total_size":)" + each + "}"});
  }

  std::vector<Malformed> cases;
};

const std::string kBoth = R"("model.embed_tokens.weight":"m-1.safetensors","b":"m-2.safetensors")";

std::vector<Malformed> index_cases() {
  Indexes t;
  t.text("ST-37", "F07", "empty|white space", {"", " \n"});
  t.text("ST-37", "J05", "expected an object",
         {"[]", "7", "\"x\"", "null", R"({"weight_map":[]})", R"({"weight_map":"x"})", R"({"weight_map":1})",
          R"({"weight_map":true})"});
  t.text("ST-37", "J07", "\"weight_map\" is absent", {"{}", R"({"weightmap":{}})", R"({"metadata":{}})"});
  t.text("ST-37", "J05", "/weight_map", {R"({"weight_map":null})"});
  t.text("ST-37", "37", "the index lists no tensors", {R"({"weight_map":{}})"});
  t.map("ST-37", "J05", "/weight_map/b: .*; expected a string",
        {"\"b\":1", "\"b\":null", "\"b\":[]", "\"b\":{}", "\"b\":false"});
  t.map("ST-37", "J04", "/weight_map/b: the key \"b\" stands here and at 1:16",
        {R"("b":"m-1.safetensors","b":"m-2.safetensors")",
         R"("b":"m-2.safetensors","\u0062":"m-2.safetensors")"});
  t.text("ST-37", "J04", "weight_map", {"{\"weight_map\":{" + kBoth + "},\"weight_map\":{}}"});
  t.text("ST-37", "J01", "not JSON",
         {"{", "{\"weight_map\":{" + kBoth + "}", "{\"weight_map\":{" + kBoth + ",}}",
          "{\"weight_map\":{" + kBoth + "}} x", "{'weight_map':{}}", "{\"weight_map\":NaN}"});
  t.text("ST-37", "J01", "byte-order mark", {"\xef\xbb\xbf{\"weight_map\":{" + kBoth + "}}"});
  t.text("ST-37", "J02", "UTF-8", {"{\"weight_map\":{\"\xff\":\"m-1.safetensors\"}}"});
  t.text("ST-37", "J03", "deep", {"{\"weight_map\":" + std::string(100, '[')});
  t.text("ST-37", "F13", "git lfs pull",
         {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"});
  t.text("ST-37", "F14", "HTML", {"<!doctype html><title>login</title>"});
  t.map("ST-37", "37", "tensor \"b\" of m-2.safetensors is not in the map",
        {R"("model.embed_tokens.weight":"m-1.safetensors","c":"m-2.safetensors")"});
  t.map("ST-37", "37", "the map puts this tensor in m-., but it is in m-.|the map puts this tensor in",
        {R"("model.embed_tokens.weight":"m-2.safetensors","b":"m-1.safetensors")",
         R"("model.embed_tokens.weight":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors")"});
  t.map("ST-37", "37", "/weight_map/c: m-2.safetensors holds no tensor of this name",
        {kBoth + R"(,"c":"m-2.safetensors")"});
  t.metadata("37", "/metadata: metadata that is no object", {"[]", "7", "\"x\"", "true"});
  t.total("37", "1:[0-9]+ /metadata/total_size: total_size .* does not fit the tensors; expected 8, the sum",
          {"9", "0", "8.5", "1e300", "16", "7", "18446744073709551615"});
  t.total("J05", "/metadata/total_size", {"\"8\"", "true", "[8]", "{}"});
  t.total("J06", "/metadata/total_size: -8", {"-8"});

  for (const char* name : {"/etc/x.safetensors",
                           "../x.safetensors",
                           "../../x.safetensors",
                           "a/../b.safetensors",
                           "a/b.safetensors",
                           "./b.safetensors",
                           "a\\\\b.safetensors",
                           "..\\\\b.safetensors",
                           "C:\\\\b.safetensors",
                           "C:b.safetensors",
                           "//b.safetensors",
                           "//host/b.safetensors",
                           ".",
                           "..",
                           "",
                           ".safetensors",
                           ".hidden.safetensors",
                           "a\\u0000.safetensors",
                           "m-1.safetensors\\u0000",
                           "~/b.safetensors",
                           "~b.safetensors",
                           "%2e%2e%2fb.safetensors",
                           "http://h/b.safetensors",
                           "file:b.safetensors",
                           "b.safetensors ",
                           "b.safetensors.",
                           " b.safetensors",
                           "a\u2215b.safetensors",
                           "a\uff0fb.safetensors",
                           "b.bin",
                           "b.SAFETENSORS",
                           "b\\n.safetensors",
                           "$HOME.safetensors",
                           "b;.safetensors",
                           "CON",
                           "b"})
    t.map("ST-40", "40",
          "1:33 /weight_map/lm_head.weight: .*points outside the model folder or at an odd name",
          {std::string("\"lm_head.weight\":\"") + name + "\""});
  t.map("ST-40", "40", "outside",
        {"\"a\":\"" + std::string(5000, 'a') + ".safetensors\"",
         "\"a\":\"" + std::string(244, 'a') + ".safetensors\""});
  t.map("ST-36", "36", "1 of 3 shards are missing or are no files: m-9.safetensors",
        {kBoth + R"(,"c":"m-9.safetensors")"});
  t.map("ST-36", "36", "2 of 2 shards .*: x-1.safetensors, x-2.safetensors",
        {R"("a":"x-1.safetensors","b":"x-2.safetensors")"});
  t.map("ST-36", "36", "1 of 1 shards .*: folder.safetensors", {R"("a":"folder.safetensors")"});
  t.map("ST-41", "36", "lost.safetensors .a link to \"nowhere\"", {R"("a":"lost.safetensors")"});
  t.map("ST-41", "36", "loop.safetensors .a link to \"loop.safetensors\"", {R"("a":"loop.safetensors")"});
  t.map("ST-35", "35", "twin.safetensors:byte [0-9]+: tensor \"b\" is here and in .*m-2.safetensors",
        {R"("b":"m-2.safetensors","c":"twin.safetensors")"});
  t.map("ST-36", "01", "short.safetensors: the file has 1 bytes", {R"("a":"short.safetensors")"});
  return std::move(t.cases);
}

TEST(MalformedIndexes, AreRefusedByName) {
  const TempFolder folder;
  folder.write("m-1.safetensors", shard_of("model.embed_tokens.weight"));
  folder.write("m-2.safetensors", shard_of("b"));
  folder.write("twin.safetensors", shard_of("b"));
  folder.write("short.safetensors", "x");
  fs::create_directory(folder / "folder.safetensors");
  fs::create_symlink("nowhere", folder / "lost.safetensors");
  fs::create_symlink("loop.safetensors", folder / "loop.safetensors");
  const auto open = [&](const std::string& content) {
    folder.write("model.safetensors.index.json", content);
    SafetensorsFolder(folder.path());
  };
  EXPECT_EQ(refusal([&] { open("{\"weight_map\":{" + kBoth + "}}"); }), "");
  expect_all_refused(index_cases(), 90, {"ST-35", "ST-36", "ST-37", "ST-40", "ST-41"}, open);
}

// ST-42: what stands in a folder without model.safetensors, one name a case.
TEST(MalformedFolders, AreRefusedByName) {
  std::vector<Malformed> cases;
  for (const char* name :
       {"pytorch_model.bin", "a.pt", "a.pth", "a.ckpt", "pytorch_model-00001-of-00002.bin"})
    cases.push_back({"ST-42", name, "E-ST-42",
                     "only pickled weights .*never opened. Mend: convert them where untrusted"});
  cases.push_back({"ST-42", "model-q4.gguf", "E-ST-42",
                   "model-q4.gguf; expected model.safetensors.*name the .gguf file"});
  cases.push_back(
      {"ST-42", "adapter_model.safetensors", "E-ST-42", "but adapter_model.safetensors; .*merge an adapter"});
  cases.push_back({"ST-42", "README.md", "E-ST-42", "there are no weights"});
  expect_all_refused(cases, 8, {"ST-42"}, [](const std::string& name) {
    const TempFolder folder;
    folder.write(name, "\x80\x02");
    SafetensorsFolder(folder.path());
  });
  const TempFolder folder;
  expect_refusal([&] { SafetensorsFolder(folder / "absent"); }, "E-ST-F01", "no such file");
  expect_refusal([&] { SafetensorsFolder(folder.write("f", "x")); }, "E-ST-42",
                 "this is a file; expected a model folder");
}

}  // namespace
}  // namespace evictbench
