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

TEST_F(Sharded, TakesMetadataThatFits) {
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
