// The program as a user meets it: its exit codes, what it leaves in a folder, and that neither threads, order,
// kills nor full disks change a byte of it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "harness/output_folder.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using Ms = std::chrono::milliseconds;

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Outcome {
  int code = 0;  // exit status, or minus the signal that ended it
  std::string out, err;
};

// The program with `arguments`, its outputs in files of `folder`. `prepare` runs in the child before it.
class Child {
 public:
  Child(const std::string& folder, const std::vector<std::string>& arguments,
        const std::function<void()>& prepare = {})
      : out_(folder + "/stdout"), err_(folder + "/stderr") {
    std::vector<char*> argv{const_cast<char*>("evictbench")};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    fs::remove(out_);
    fs::remove(err_);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::dup2(::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), STDOUT_FILENO);
    ::dup2(::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), STDERR_FILENO);
    if (prepare) prepare();
    ::execv(EVICTBENCH_BINARY, argv.data());
    ::_exit(127);
  }
  void send(int signal) const { ::kill(pid_, signal); }
  Outcome wait() const {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read(out_), read(err_)};
  }

 private:
  std::string out_, err_;
  pid_t pid_ = -1;
};

const char* const kPolicies[] = {"full", "random", "streaming_llm", "snapkv", "pyramidkv", "adakv", "knorm"};
const char* const kFromRecords[] = {"results.json", "results.csv", "results.md", "results.tex"};
constexpr int kWindow = 16;

std::string policy_line(const std::string& name) {
  const bool window = name == "snapkv" || name == "pyramidkv" || name == "adakv";
  return "  - {name: " + name + (window ? ", window: " + std::to_string(kWindow) : "") + "}\n";
}

struct SweepText {
  std::string policies, budgets = "[0.1, 0.5]", lengths = "[400, 700]";
  std::vector<std::string> tasks{"word", "number"};

  std::string str() const {
    std::string text =
        "version: 1\nmodel: {path: model, chat: none}\nprotocol: {question: [inside, after], seed: 7}\n"
        "policies:\n" +
        policies + "budgets: {unit: ratio, values: " + budgets + "}\ntasks:\n";
    for (const std::string& task : tasks)
      text += "  - name: niah\n    id: " + task + "\n    haystack: generated\n    lengths: " + lengths +
              "\n    depths: [0, 50, 100]\n    needle: \"The " + task +
              " of {key} is {value}.\"\n    question: \"What is the " + task +
              " of {key}?\"\n    answer_prefix: \"It is\"\n    keys: [Tallinn]\n    values: [saffron]\n"
              "    max_new: 6\n";
    return text + "output: {dir: unset}\n";
  }
};

SweepText all_points() {
  SweepText sweep;
  for (const char* policy : kPolicies) sweep.policies += policy_line(policy);
  return sweep;
}

class CliTest : public testing::Test {
 protected:
  CliTest() {
    fs::create_directory(folder_ / "model");
    write_random_checkpoint(folder_ / "model", {.layers = 3, .hidden = 32, .tied = false}, 11);
    sweep_ = folder_.write("sweep.yaml", all_points().str());
  }
  void SetUp() override {
    if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  }

  Outcome call(const std::vector<std::string>& arguments, const std::function<void()>& prepare = {}) const {
    return Child(folder_.path(), arguments, prepare).wait();
  }
  std::string at(const std::string& name) const { return folder_ / name; }
  std::vector<std::string> run_into(const std::string& output, const std::string& sweep = "") const {
    return {"run", sweep.empty() ? sweep_ : sweep, "--set", "output.dir=" + at(output), "--threads", "1"};
  }
  Outcome run(const std::string& output, const std::string& sweep = "") const {
    return call(run_into(output, sweep));
  }
  std::string journal(const std::string& output) const { return read(at(output) + "/records.jsonl"); }

  // Records and all that is made of them alone.
  void expect_same(const std::string& a, const std::string& b) const {
    EXPECT_TRUE(journal(a) == journal(b)) << "records.jsonl of " << a << " and " << b;
    for (const char* name : kFromRecords) {
      const std::string text = read(at(a) + "/" + name);
      EXPECT_FALSE(text.empty()) << name;
      EXPECT_TRUE(text == read(at(b) + "/" + name)) << name << " of " << a << " and " << b;
    }
  }
  // (task, example, point) -> line
  std::map<std::string, std::string> lines_of(const std::string& output) const {
    std::map<std::string, std::string> lines;
    std::istringstream in(journal(output));
    for (std::string line; std::getline(in, line);) {
      const json r = json::parse(line);
      const std::string key = json{r.at("task"), r.at("example"), r.at("point")}.dump();
      EXPECT_TRUE(lines.emplace(key, line).second) << key;
    }
    return lines;
  }
  json ask(std::vector<std::string> arguments) const {
    arguments.push_back("--json");
    const Outcome outcome = call(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(outcome.out, nullptr, false);
  }

  TempFolder folder_;
  std::string sweep_;
};

std::set<std::string> keys_of(const json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

std::string whole_lines(const std::string& text) { return text.substr(0, text.rfind('\n') + 1); }

TEST_F(CliTest, ASweepLeavesItsFilesAndTheReportIsMadeAgainFromThem) {
  const Outcome first = run("out");
  ASSERT_EQ(first.code, 0) << first.err;
  const auto lines = lines_of("out");
  EXPECT_EQ(lines.size(), 2u * 2 * 2 * 3 * 13);  // tasks, questions, lengths, depths, points
  std::set<std::string> answers;
  for (const auto& [key, line] : lines) {
    const json record = json::parse(line);
    answers.insert(record.at("answer_ids").dump());
    EXPECT_LE(record.at("prompt_tokens"), record.at("length")) << line;
  }
  std::printf("%zu records, %zu different answers\n", lines.size(), answers.size());
  EXPECT_GE(answers.size(), 50u) << "answers that hardly differ show nothing";
  fs::copy(at("out"), at("before"));
  for (const char* name : kFromRecords) fs::remove(at("out") + "/" + name);
  fs::remove(at("out") + "/report.html");
  const Outcome again = call({"report", at("out")});
  ASSERT_EQ(again.code, 0) << again.err;
  expect_same("before", "out");
  EXPECT_TRUE(read(at("before") + "/report.html") == read(at("out") + "/report.html"));
  EXPECT_EQ(call({"report", at("model")}).code, 2);
}

TEST_F(CliTest, AFinishedRunComputesNothingAgain) {
  ASSERT_EQ(run("out").code, 0);
  fs::copy(at("out"), at("before"));
  const Outcome again = run("out");
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, testing::Not(HasSubstr("loading")));
  expect_same("before", "out");
  EXPECT_EQ(read(at("before") + "/timings.jsonl"), read(at("out") + "/timings.jsonl"));
}

TEST_F(CliTest, AFolderOfAnotherExperimentOrAnotherRunIsRefused) {
  ASSERT_EQ(run("out").code, 0);
  fs::copy(at("out"), at("before"));
  SweepText other = all_points();
  other.budgets = "[0.1, 0.25]";
  const Outcome different = run("out", folder_.write("other.yaml", other.str()));
  EXPECT_EQ(different.code, 8);
  EXPECT_THAT(different.err, HasSubstr("Mend: "));
  {
    const Descriptor lock(::open((at("out") + "/.lock").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
    const Outcome second = run("out");
    EXPECT_EQ(second.code, 7);
    EXPECT_THAT(second.err, HasSubstr("Mend: "));
  }
  expect_same("before", "out");
  EXPECT_EQ(run("out").code, 0);  // the lock went with its holder
}

TEST_F(CliTest, AFolderThatCannotBeWrittenIsRefused) {
  const Outcome nowhere = call({"run", sweep_, "--set", "output.dir=/proc/evictbench/out", "--threads", "1"});
  EXPECT_EQ(nowhere.code, 6);
  EXPECT_THAT(nowhere.err, HasSubstr("Mend: "));
  if (::geteuid() == 0) return;  // root writes anywhere
  fs::create_directory(at("sealed"));
  fs::permissions(at("sealed"), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(run("sealed").code, 6);
  fs::permissions(at("sealed"), fs::perms::owner_all);
}

TEST_F(CliTest, ARunThatMeetsAFullDiskIsResumed) {
  ASSERT_EQ(run("whole").code, 0);
  const std::size_t size = journal("whole").size();
  for (const std::size_t limit : {size / 3, size / 2, size * 9 / 10}) {
    const std::string output = "out" + std::to_string(limit);
    const Outcome full = call(run_into(output), [limit] {
      const rlimit most{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &most);
    });
    EXPECT_EQ(full.code, 6) << full.err;
    EXPECT_THAT(full.err, HasSubstr("resume"));
    const std::string kept = journal(output);
    EXPECT_GT(kept.size(), 0u);
    EXPECT_EQ(kept, journal("whole").substr(0, kept.size()));
    EXPECT_EQ(kept, whole_lines(kept));
    const Outcome resumed = run(output);
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    expect_same("whole", output);
  }
}

TEST_F(CliTest, ThreadsChangeNothing) {
  for (const char* threads : {"1", "2", "4"}) {
    const Outcome outcome = call({"run", sweep_, "--set", "output.dir=" + at(threads), "--threads", threads});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  expect_same("1", "2");
  expect_same("1", "4");
}

TEST_F(CliTest, APointAloneAnswersAsAmongAll) {
  ASSERT_EQ(run("all").code, 0);
  const auto all = lines_of("all");
  std::size_t seen = 0;
  for (const std::string policy : kPolicies)
    for (const std::string budget : {"[0.1]", "[0.5]"}) {
      if (policy == "full" && budget == "[0.5]") continue;
      SweepText one;
      one.policies = policy_line(policy);
      one.budgets = budget;
      const std::string output = policy + budget;
      const Outcome outcome = run(output, folder_.write("one.yaml", one.str()));
      ASSERT_EQ(outcome.code, 0) << outcome.err;
      for (const auto& [key, line] : lines_of(output)) {
        ASSERT_TRUE(all.contains(key)) << output << " " << key;
        EXPECT_EQ(all.at(key), line);
        ++seen;
      }
    }
  EXPECT_EQ(seen, all.size());
}

TEST_F(CliTest, TheOrderOfTasksLengthsAndPoliciesChangesNoRecord) {
  SweepText turned;
  for (const char* policy : kPolicies) turned.policies.insert(0, policy_line(policy));
  turned.lengths = "[700, 400]";
  std::ranges::reverse(turned.tasks);
  ASSERT_EQ(run("out").code, 0);
  ASSERT_EQ(run("turned", folder_.write("turned.yaml", turned.str())).code, 0);
  EXPECT_NE(journal("out"), journal("turned"));
  EXPECT_EQ(lines_of("out"), lines_of("turned"));
}

TEST_F(CliTest, KillsLoseNoFinishedRecord) {
  const auto start = Clock::now();
  ASSERT_EQ(run("whole").code, 0);
  const auto span = std::chrono::duration_cast<Ms>(Clock::now() - start).count();
  const std::string whole = journal("whole");
  std::mt19937 rng(20240607);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(rng()) % n; };
  int kills = 0, finished = 0, grew = 0;
  std::string before;
  while (kills < 50) {
    std::vector<std::string> arguments = run_into("out");
    arguments.insert(arguments.end(), {"--in-flight", std::to_string(1 + below(5))});
    const Child child(folder_.path(), arguments);
    // Half of the delays are short, so that a start, a repair and a resume are struck too.
    const std::size_t most = below(2) == 0 ? 40 : static_cast<std::size_t>(span);
    std::this_thread::sleep_for(Ms(2 + below(most + 1)));
    child.send(SIGKILL);
    const Outcome outcome = child.wait();
    ASSERT_TRUE(outcome.code == -SIGKILL || outcome.code == 0) << outcome.code << " " << outcome.err;
    const std::string now = whole_lines(journal("out"));
    ASSERT_EQ(now.substr(0, before.size()), before) << "a finished record was lost";
    ASSERT_EQ(now, whole.substr(0, now.size()));
    grew += now.size() > before.size();
    before = now;
    kills += outcome.code == -SIGKILL;
    if (outcome.code != 0 && now.size() < whole.size()) continue;
    finished += outcome.code == 0;
    if (outcome.code == 0) expect_same("whole", "out");
    std::size_t cut = below(whole.size());
    if (below(2) == 0) cut = whole_lines(whole.substr(0, cut)).size();
    fs::resize_file(at("out") + "/records.jsonl", cut);
    before = whole_lines(whole.substr(0, cut));
  }
  const Outcome last = run("out");
  EXPECT_EQ(last.code, 0) << last.err;
  expect_same("whole", "out");
  EXPECT_GE(grew, 5) << "the kills came too early to test anything";
  std::printf("%d kills, %d runs that grew the journal, %d that finished; an undisturbed run takes %d ms\n",
              kills, grew, finished, static_cast<int>(span));
}

TEST_F(CliTest, ASignalStopsARunThatResumes) {
  ASSERT_EQ(run("whole").code, 0);
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}}) {
    const std::string output = "out" + std::to_string(code);
    const Child child(folder_.path(), run_into(output));
    const std::string records = at(output) + "/records.jsonl";
    std::error_code absent;
    for (int i = 0; i < 10000; ++i) {
      if (const auto size = fs::file_size(records, absent); !absent && size > 0) break;
      std::this_thread::sleep_for(Ms(1));
    }
    child.send(signal);
    const Outcome stopped = child.wait();
    EXPECT_EQ(stopped.code, code) << stopped.err;
    EXPECT_THAT(stopped.err, HasSubstr("Run the same command again to resume."));
    EXPECT_LT(journal(output).size(), journal("whole").size());
    const Outcome resumed = run(output);
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("resuming"));
    expect_same("whole", output);
  }
}

// Nobody has to listen to a run; but an answer that cannot be written is an error.
TEST_F(CliTest, OutputsThatTakeNothing) {
  const auto full = [](int descriptor) {
    return [descriptor] { ::dup2(::open("/dev/full", O_WRONLY), descriptor); };
  };
  const auto closed = [] {
    int ends[2];
    if (::pipe(ends) == 0) ::close(ends[0]), ::dup2(ends[1], STDERR_FILENO);
  };
  EXPECT_EQ(call(run_into("out"), full(STDERR_FILENO)).code, 0);
  EXPECT_EQ(call(run_into("piped"), closed).code, 0);
  expect_same("out", "piped");
  for (const std::vector<std::string>& command : {std::vector<std::string>{"list", "policies"},
                                                  {"plan", sweep_},
                                                  {"inspect", "tokens", at("model"), "--text", "x"}}) {
    const Outcome outcome = call(command, full(STDOUT_FILENO));
    EXPECT_EQ(outcome.code, 6) << command[0];
    EXPECT_THAT(outcome.err, HasSubstr("error[E-OUT-10] standard output: "));
  }
}

// ST-26: a weight of layer 1 that is not a number.
TEST_F(CliTest, WeightsThatAreNotNumbersAreRefusedOrFailPoints) {
  const RandomShape shape{.layers = 3, .hidden = 32, .tied = false};
  fs::create_directory(at("bad"));
  write_random_checkpoint(at("bad"), shape, 11);
  const std::string file = at("bad") + "/model.safetensors";
  std::string bytes = read(file);
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const json header = json::parse(bytes.substr(8, length));
  const auto begin = header.at(name).at("data_offsets").at(0).get<std::size_t>();
  bytes.replace(8 + length + begin + 2 * 5, 2, "\xc0\x7f");  // the NaN of bf16 in row 0, column 5
  std::ofstream(file, std::ios::binary) << bytes;

  const std::string found = "nan at index 5 of [32, 40] (row-major), 1 such values in all";
  auto sweep = run_into("out");
  sweep.insert(sweep.end(), {"--set", "model.path=" + at("bad")});
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"generate", at("bad"), "--ids", "1,2,3"},
        {"inspect", "logits", at("bad"), "--ids", "1,2,3", "--device", "reference"},
        {"validate", sweep_, "--set", "model.path=" + at("bad"), "--check-weights"},
        sweep}) {
    const Outcome outcome = call(command);
    EXPECT_EQ(outcome.code, 4) << command[0];
    EXPECT_THAT(outcome.err, testing::AllOf(HasSubstr("error[E-ST-26]"), HasSubstr(name), HasSubstr(found)));
  }
  EXPECT_EQ(call({"validate", sweep_, "--set", "model.path=" + at("bad")}).code, 0);  // reads no weights

  const Outcome logits =
      call({"inspect", "logits", at("bad"), "--ids", "1,2,3", "--allow-nonfinite-weights"});
  EXPECT_EQ(logits.code, 4);
  EXPECT_THAT(logits.err, HasSubstr("error[E-RN-02]"));
  const Outcome answer = call({"generate", at("bad"), "--ids", "1,2,3", "--allow-nonfinite-weights"});
  EXPECT_EQ(answer.code, 5);
  EXPECT_THAT(answer.err, HasSubstr("keys and values are not numbers from layer 2 of 3 on"));
  sweep.insert(sweep.end(), {"--set", "model.allow_nonfinite=true"});
  EXPECT_EQ(call(sweep).code, 5);
  for (const auto& [key, line] : lines_of("out")) EXPECT_NE(json::parse(line).value("error", ""), "") << line;
}

TEST_F(CliTest, MistakesHaveTheirExitCodesAndOneLine) {
  const std::string model = at("model");
  EXPECT_EQ(call({"--version"}).code, 0);
  EXPECT_EQ(call({"--help"}).code, 0);

  const std::string bad_key = folder_.write("key.yaml", all_points().str() + "colour: red\n");
  const std::string torn = folder_.write("torn.yaml", "version: 1\npolicies: [\n");
  const std::string no_model = folder_.write("lost.yaml", [] {
    std::string text = all_points().str();
    return text.replace(text.find("path: model"), 11, "path: mislaid");
  }());
  struct Case {
    int code;
    std::vector<std::string> arguments;
  };
  const std::vector<Case> cases{
      {2, {}},
      {2, {"dance"}},
      {2, {"--bogus"}},
      {2, {"list", "dances"}},
      {2, {"run"}},
      {2, {"run", sweep_, "again"}},
      {2, {"run", sweep_, "--faster"}},
      {2, {"run", sweep_, "--threads", "-2"}},
      {2, {"generate", model, "--ids", "1", "--device", "tpu"}},
      {2, {"generate", model, "--ids", "1", "--max-new", "0"}},
      {2, {"inspect", "tokens", model}},
      {2, {"inspect", "kept", model, "--ids", "1,2", "--policy", "snapkv", "--budget", "nan"}},
      {2, {"inspect", "kept", model, "--ids", "1,2", "--policy", "snapkv", "--budget", "1e19"}},
      {2, {"inspect", "kept", model, "--ids", "1,2", "--policy", "snapkv", "--budget", "0.5"}},
      {2, {"inspect", "kept", model, "--ids", "1,2,3", "--policy", "snapvk", "--budget", "2"}},
      {2, {"inspect", "kept", model, "--ids", "1,2,3", "--policy", "snapkv"}},
      {2, {"inspect", "kept", model, "--ids", "1,2,3", "--policy", "snapkv", "--budget", "2", "--set", "x"}},
      {2, {"generate", model, "--ids", "1,2,3", "--policy", "knorm"}},
      {2, {"generate", model, "--ids", "1,,3"}},
      {2, {"generate", model, "--ids", "1,2,"}},
      {2, {"generate", model, "--ids", "1 2"}},
      {2, {"inspect", "logits", model, "--ids", "-1"}},
      {2, {"inspect", "logits", model, "--ids", "99999999999"}},
      {2, {"inspect", "logits", model, "--ids", "262"}},
      {3, {"run", bad_key}},
      {3, {"validate", bad_key}},
      {3, {"plan", torn}},
      {3, {"run", at("absent.yaml")}},
      {3, {"run", no_model}},
      {3, {"run", sweep_, "--set", "budgets.values=[2]"}},
      {4, {"inspect", "model", at("mislaid")}},
      {4, {"generate", at("mislaid"), "--ids", "1"}},
      {4, {"inspect", "tokens", at("mislaid"), "--text", "a"}},
      {4, {"inspect", "tokens", model, "--text-file", at("absent.txt")}},
  };
  for (const auto& [code, arguments] : cases) {
    const Outcome outcome = call(arguments);
    SCOPED_TRACE(json(arguments).dump() + " " + outcome.err);
    EXPECT_EQ(outcome.code, code);
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1);
    EXPECT_TRUE(is_well_formed(outcome.err.substr(0, outcome.err.find('\n'))));
    EXPECT_EQ(outcome.out, "");
  }
  fs::remove(model + "/model.safetensors");
  EXPECT_EQ(call({"validate", sweep_}).code, 4);
  EXPECT_EQ(run("out").code, 4);
  EXPECT_FALSE(fs::exists(at("out")));
}

// 300 ids of the printable ASCII letters.
std::string some_ids(int count = 300) {
  std::mt19937 rng(5);
  std::string ids;
  for (int i = 0; i < count; ++i) ids += (i ? "," : "") + std::to_string(32 + rng() % 90);
  return ids;
}

TEST_F(CliTest, InspectShowsTokensLogitsAndFacts) {
  const std::string model = at("model");
  const json tokens = ask({"inspect", "tokens", model, "--text", "hello, \xc3\xb5un"});
  EXPECT_EQ(tokens, json::parse(R"({"ids":[260,44,32,195,181,117,110],"decoded":"hello, õun"})"));
  EXPECT_EQ(ask({"inspect", "tokens", model, "--text-file", folder_.write("t", "hello, \xc3\xb5un")}),
            tokens);

  const json last = ask({"inspect", "logits", model, "--ids", "1,5,9"});
  const json all = ask({"inspect", "logits", model, "--ids", "1,5,9", "--all"});
  EXPECT_EQ(keys_of(all), (std::set<std::string>{"positions", "logits"}));
  EXPECT_EQ(all["positions"], json({0, 1, 2}));
  EXPECT_EQ(last["positions"], json({2}));
  ASSERT_EQ(all["logits"].size(), 3u);
  EXPECT_EQ(all["logits"][0].size(), 262u);
  EXPECT_EQ(all["logits"][2], last["logits"][0]);

  const json facts = ask({"inspect", "model", model});
  EXPECT_EQ(facts["layers"], 3);
  EXPECT_EQ(facts["kv_heads"], 2);
  EXPECT_EQ(facts["vocabulary"], 262);
  EXPECT_EQ(facts["kv_bytes_per_token_f32"], 2 * 3 * 2 * 8 * 4);
}

TEST_F(CliTest, InspectKeptHoldsEveryBudgetExactly) {
  for (const std::string policy : kPolicies)
    for (const int budget : {20, 64, 137}) {
      if (policy == "full") continue;
      std::vector<std::string> arguments{"inspect", "kept",     at("model"),
                                         "--ids",   some_ids(), "--policy",
                                         policy,    "--budget", std::to_string(budget)};
      if (policy_line(policy).find("window") != std::string::npos)
        arguments.insert(arguments.end(), {"--set", "window=16"});
      const json kept = ask(arguments);
      SCOPED_TRACE(policy + " " + std::to_string(budget));
      EXPECT_EQ(keys_of(kept), (std::set<std::string>{"layers", "kv_heads", "tokens", "kept", "bytes"}));
      EXPECT_EQ(kept["tokens"], 300);
      ASSERT_EQ(kept["kept"].size(), 3u);
      int entries = 0;
      for (const json& layer : kept["kept"]) {
        ASSERT_EQ(layer.size(), 2u);
        for (const json& lane : layer) {
          const auto indices = lane.get<std::vector<int>>();
          entries += static_cast<int>(indices.size());
          EXPECT_TRUE(std::ranges::is_sorted(indices, std::less_equal<>{}));
          EXPECT_TRUE(std::ranges::all_of(indices, [](int i) { return i >= 0 && i < 300; }));
        }
      }
      EXPECT_EQ(entries, budget * 3 * 2);
      EXPECT_EQ(kept["bytes"], entries * 8 * 2 * 4);
    }
}

TEST_F(CliTest, GenerateIsGreedyAndTheReferenceAgrees) {
  const std::string model = at("model");
  const std::vector<std::string> ask_12{"generate", model, "--ids", some_ids(), "--max-new", "12"};
  const auto with = [](std::vector<std::string> arguments, std::initializer_list<std::string> more) {
    arguments.insert(arguments.end(), more);
    return arguments;
  };
  const json plain = ask(ask_12);
  EXPECT_EQ(keys_of(plain), (std::set<std::string>{"ids", "text"}));
  EXPECT_EQ(plain, ask(with(ask_12, {"--policy", "full"})));
  EXPECT_EQ(plain["ids"], ask(with(ask_12, {"--device", "reference"}))["ids"]);
  EXPECT_EQ(plain["ids"], ask(with(ask_12, {"--policy", "knorm", "--budget", "400"}))["ids"]);  // holds all

  std::vector<int> greedy;  // one pass over the whole text per token
  std::string ids = some_ids();
  for (int i = 0; i < 12; ++i) {
    const auto row = ask({"inspect", "logits", model, "--ids", ids})["logits"][0].get<std::vector<float>>();
    const auto best = static_cast<int>(std::ranges::max_element(row) - row.begin());
    if (best == 261) break;
    greedy.push_back(best);
    ids += "," + std::to_string(best);
  }
  EXPECT_EQ(plain["ids"], json(greedy));
  EXPECT_GE(greedy.size(), 6u);

  const json cpu = ask({"inspect", "logits", model, "--ids", some_ids(60), "--all"});
  const json reference =
      ask({"inspect", "logits", model, "--ids", some_ids(60), "--all", "--device", "reference"});
  ASSERT_EQ(cpu["logits"].size(), 60u);
  ASSERT_EQ(reference["logits"].size(), 60u);
  for (std::size_t r = 0; r < 60; ++r) {
    const auto a = cpu["logits"][r].get<std::vector<double>>();
    const auto b = reference["logits"][r].get<std::vector<double>>();
    ASSERT_EQ(a.size(), b.size());
    double mean = 0, square = 0, worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      mean += b[i] / static_cast<double>(b.size());
      square += b[i] * b[i] / static_cast<double>(b.size());
      worst = std::max(worst, std::abs(a[i] - b[i]));
    }
    EXPECT_LE(worst, 5e-5 * std::sqrt(square - mean * mean)) << "position " << r;
  }
}

}  // namespace
}  // namespace evictbench
