#include "policies/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "policies/registry.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string complaint(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    EXPECT_EQ(e.exit(), Exit::kSweep);
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "";
}

std::string complaint_about(const std::string& spec) {
  return complaint([&] { make_policy(spec); });
}

TEST(Options, IdResolvesEveryOption) {
  EXPECT_EQ(make_policy("snapkv")->id(), "snapkv{kernel=7,pool=max,window=32}");
  EXPECT_EQ(make_policy("snapkv{}")->id(), make_policy("snapkv")->id());
  EXPECT_EQ(make_policy(" snapkv { window = 16 , pool = mean } ")->id(),
            "snapkv{kernel=7,pool=mean,window=16}");
  EXPECT_EQ(make_policy("pyramidkv")->id(), "pyramidkv{beta=20,kernel=7,pool=max,window=32}");
  EXPECT_EQ(make_policy("pyramidkv{beta=20.50}")->id(), "pyramidkv{beta=20.5,kernel=7,pool=max,window=32}");
  EXPECT_EQ(make_policy("adakv")->id(), "adakv{alpha=0.2,base=snapkv,kernel=7,pool=max,window=32}");
  EXPECT_EQ(make_policy("adakv{base=pyramidkv,alpha=1e-1}")->id(),
            "adakv{alpha=0.1,base=pyramidkv,beta=20,kernel=7,pool=max,window=32}");
  EXPECT_EQ(make_policy("adakv{alpha=-0}")->id(), make_policy("adakv{alpha=0}")->id());
  EXPECT_EQ(make_policy("streaming_llm")->id(), "streaming_llm{sinks=4}");
  EXPECT_EQ(make_policy("random{seed=9223372036854775807}")->id(), "random{seed=9223372036854775807}");
  EXPECT_EQ(make_policy("full")->id(), "full");
  for (const PolicyEntry& entry : all_policies()) {
    const Options plain(entry.name);
    entry.make(plain);
    if (std::ranges::any_of(plain.asked(), [](const auto& o) { return !o.second.missing.empty(); }))
      continue;  // what its file holds is in its id, and an id is no file
    const std::string id = make_policy(entry.name)->id();
    EXPECT_EQ(make_policy(id)->id(), id);
  }
}

TEST(Options, MapAndTextAgree) {
  EXPECT_EQ(make_policy("snapkv", {{"window", "8"}, {"pool", "mean"}})->id(),
            make_policy("snapkv{pool=mean,window=8}")->id());
}

TEST(Options, UnknownNamesGetTheNearestAndTheList) {
  EXPECT_THAT(complaint_about("snapvk"),
              AllOf(HasSubstr("E-PO-01"), HasSubstr("unknown policy 'snapvk'"),
                    HasSubstr("did you mean 'snapkv'?"), HasSubstr("streaming_llm")));
  EXPECT_THAT(complaint_about("snapkv{windw=3}"),
              AllOf(HasSubstr("E-PO-02"), HasSubstr("unknown option 'windw'"),
                    HasSubstr("one of kernel, pool, window"), HasSubstr("did you mean 'window'?")));
  EXPECT_THAT(complaint_about("full{window=3}"), HasSubstr("expected no options"));
  EXPECT_THAT(complaint_about("adakv{beta=3}"),
              HasSubstr("unknown option 'beta'"));  // only with base=pyramidkv
  EXPECT_THAT(complaint_about("adakv{base=piramidkv}"), HasSubstr("did you mean 'pyramidkv'?"));
  EXPECT_THAT(complaint_about(""), HasSubstr("unknown policy ''"));
}

TEST(Options, ValuesAreStrict) {
  for (const char* bad : {"window=0", "window=-1", "window=3.0", "window=3x",
                          "window= ", "window=", "window=+3", "window=99999999999999999999", "window=65537",
                          "kernel=4", "kernel=0", "kernel=0x7", "pool=avg", "pool=", "pool=Max"})
    EXPECT_THAT(complaint_about("snapkv{" + std::string(bad) + "}"), HasSubstr("E-PO-03")) << bad;
  for (const char* bad :
       {"alpha=1.01", "alpha=-.1", "alpha=nan", "alpha=inf", "alpha=1,5", "alpha=0.2f", "alpha=1e999"})
    EXPECT_NE(complaint_about("adakv{" + std::string(bad) + "}"), "") << bad;
  EXPECT_THAT(complaint_about("snapkv{kernel=4}"), HasSubstr("an odd whole number from 1 to"));
  for (const char* good : {"window=1", "window=65536", "kernel=1", "kernel=007", "pool=max"})
    EXPECT_EQ(complaint_about("snapkv{" + std::string(good) + "}"), "") << good;
}

TEST(Options, SpecsAreStrict) {
  for (const char* bad : {"snapkv{", "snapkv{window=3", "snapkv{window=3}x", "snapkv{window}", "snapkv{=3}",
                          "snapkv{,}", "snapkv{window=3,}", "snapkv{,window=3}", "snapkv{window=3,window=3}",
                          "snapkv{window=3}}", "snapkv{window={3}}", "{window=3}", "snapkv}"})
    EXPECT_NE(complaint_about(bad), "") << bad;
}

TEST(Options, AFileThatIsNeededIsAskedFor) {
  for (const char* spec :
       {"headkv", "headkv{window=4}", "headkv{head_scores=none}", "compresskv", "headcompresskv"})
    EXPECT_THAT(complaint_about(spec), AllOf(HasSubstr("E-PO-05"), HasSubstr("no 'head_scores'"),
                                             HasSubstr("add head_scores: FILE")))
        << spec;
  EXPECT_THAT(complaint_about("headkv{head_scores=}"), HasSubstr("E-PO-03"));
  EXPECT_THAT(complaint_about("headkv{head_score=x}"), HasSubstr("did you mean 'head_scores'?"));
  EXPECT_THAT(complaint_about("snapkv{head_scores=x}"), HasSubstr("unknown option"));
}

TEST(Options, AFileIsKnownByWhatItHolds) {
  const TempFolder folder;
  const std::string scores = R"({"0-0": [1, 2], "0-1": [3, 4]})";
  folder.write("heads.json", scores);
  const std::string copy = folder.write("copy.json", scores),
                    other = folder.write("other.json", scores + " ");
  const Options::Source sweep{folder / "sweep.yaml", {}};
  const auto id = [&](const std::string& name) {
    return make_policy(Options("headkv", {{"head_scores", name}}, sweep))->id();
  };
  EXPECT_EQ(id("heads.json"), id(copy))
      << "wherever it lies; a path counts from the folder of the sweep file";
  EXPECT_NE(id("heads.json"), id(other)) << "a byte more is another file";
  EXPECT_THAT(id(copy),
              testing::MatchesRegex("headkv\\{beta=1.01,head_scores=xxh3:[0-9a-f]+,kernel=7,pool=max,"
                                    "temperature=1,window=8\\}"));
  EXPECT_THAT(make_policy("compresskv{head_scores=" + copy + "}")->id(), HasSubstr("layer_scores=none"));
  EXPECT_EQ(make_policy("compresskv{layer_scores=none,head_scores=" + copy + "}")->id(),
            make_policy("compresskv{head_scores=" + copy + "}")->id());
}

TEST(Options, ComplaintsPointIntoTheFile) {
  const Options::Source source{"sweep.yaml", {{"", "4:5"}, {"window", "4:19"}, {"windw", "4:19"}}};
  EXPECT_THAT(complaint([&] {
                make_policy(Options("snapkv", {{"window", "x"}}, source));
              }),
              AllOf(HasSubstr("sweep.yaml:4:19: "), HasSubstr("of policy snapkv")));
  EXPECT_THAT(complaint([&] {
                make_policy(Options("snapkv", {{"windw", "3"}}, source));
              }),
              HasSubstr("sweep.yaml:4:19: "));
  EXPECT_THAT(complaint([&] { make_policy(Options("snapvk", {}, source)); }), HasSubstr("sweep.yaml:4:5: "));
}

TEST(Options, HostileTextStaysOnOneLine) {
  const std::string text = complaint([] {
    make_policy("snapkv", {{"a\n\x1b[31mb", std::string(100000, '9')}});
  });
  EXPECT_LT(text.size(), 5000u);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Options, DescriptionsComeFromTheGetters) {
  const auto find = [](const std::string& policy, const std::string& key) -> OptionInfo {
    for (const PolicyEntry& entry : all_policies())
      if (entry.name == policy)
        for (const OptionInfo& info : describe(entry))
          if (info.key == key) return info;
    return {};
  };
  EXPECT_EQ(find("snapkv", "window").fallback, "32");
  EXPECT_EQ(find("snapkv", "window").allowed, "1..65536");
  EXPECT_EQ(find("snapkv", "kernel").allowed, "1..65535 odd");
  EXPECT_EQ(find("snapkv", "pool").allowed, "max|mean");
  EXPECT_EQ(find("adakv", "alpha").allowed, "0..1");
  EXPECT_EQ(find("adakv", "beta").when, "base=pyramidkv");
  EXPECT_EQ(find("adakv", "alpha").when, "");
  EXPECT_EQ(find("full", "window").key, "");
  EXPECT_EQ(find("headkv", "head_scores").fallback, "needed");
  EXPECT_EQ(find("compresskv", "layer_scores").fallback, "none");
  EXPECT_EQ(find("compresskv", "layer_scores").allowed, "a file");
}

}  // namespace
}  // namespace evictbench
