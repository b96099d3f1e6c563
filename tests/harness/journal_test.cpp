#include "harness/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "harness/signals.h"
#include "reports/record_json.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

// In memory where there is such a place: these tests sync some ten thousand times.
[[maybe_unused]] const bool kInMemory =
    fs::is_directory("/dev/shm") && ::setenv("TMPDIR", "/dev/shm", 1) == 0;

const Manifest kManifest{
    {"program", "evictbench 0.1.0"}, {"model", "0123456789abcdef"}, {"points[0]", "full"}};

std::vector<Record> records_of(int examples, int points) {
  std::vector<Record> out;
  for (int example = 0; example < examples; ++example)
    for (int point = 0; point < points; ++point) {
      Record r;
      r.task = "niah";
      r.example = "len512-depth" + std::to_string(example);
      r.length = 512;
      r.depth = 12.5;
      r.question = "inside";
      r.first_token = "evicted";
      r.policy = "snapkv{kernel=7,pool=max,window=32}";
      r.policy_name = "snapkv";
      r.budget_unit = "entries";
      r.budget = 64 << point;
      r.compute = "f32";
      r.point = "point" + std::to_string(point);
      r.answer_ids = {example, point, 17};
      r.answer = "saf\nfron \u00e9 " + std::string(static_cast<std::size_t>(example * 7 % 5), 'x');
      r.scores = {{"exact", 1.0 / (1 + example)}};
      r.prompt_tokens = 500;
      r.asked = r.kept = 640;
      r.full_entries = 5000;
      r.retained_bytes = 1 << 20;
      r.kept_by_layer = {320, 320};
      r.prompt_hash = "00112233445566aa";
      out.push_back(r);
    }
  return out;
}

std::vector<RecordKey> plan_of(const std::vector<Record>& records) {
  std::vector<RecordKey> keys;
  for (const Record& r : records) keys.push_back({r.task, r.example, r.point});
  return keys;
}

std::string text_of(const std::vector<Record>& records) {
  std::string out;
  for (const Record& r : records) out += record_line(r) + "\n";
  return out;
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
}

// What the runner does: the points of an example together, those that are there left out.
void run(Journal& journal, const std::vector<Record>& all, std::size_t points) {
  for (std::size_t begin = 0; begin < all.size(); begin += points) {
    std::vector<Record> missing;
    for (std::size_t i = begin; i < std::min(begin + points, all.size()); ++i)
      if (!journal.has({all[i].task, all[i].example, all[i].point})) missing.push_back(all[i]);
    if (!missing.empty()) journal.append(missing);
  }
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() : all_(records_of(3, 2)), plan_(plan_of(all_)), whole_(text_of(all_)) {}

  std::string records() const { return temp_ / "out/records.jsonl"; }
  // Puts `text` into a results folder of this experiment.
  void put(const OutputFolder& folder, const std::string& text) const {
    if (!fs::exists(folder.file("manifest.json")))
      folder.write_file("manifest.json", manifest_text(kManifest));
    write(records(), text);
  }

  TempFolder temp_;
  std::vector<Record> all_;
  std::vector<RecordKey> plan_;
  std::string whole_;
};

TEST_F(JournalTest, WritesRecordsInOrder) {
  const OutputFolder folder(temp_ / "out");
  Journal journal(folder, kManifest, plan_);
  EXPECT_TRUE(journal.records().empty());
  run(journal, all_, 2);
  journal.append_timing("{\"seconds\":1}");
  EXPECT_EQ(read(records()), whole_);
  EXPECT_EQ(read(temp_ / "out/manifest.json"), manifest_text(kManifest));
  EXPECT_EQ(journal.records().size(), all_.size());
  EXPECT_TRUE(journal.has(plan_.back()));
  const Journal again(folder, kManifest, plan_);
  EXPECT_EQ(again.records().size(), all_.size());
  EXPECT_TRUE(again.notes().empty());
  EXPECT_EQ(text_of(again.records()), whole_);
}

TEST_F(JournalTest, EveryTruncationIsMended) {
  const OutputFolder folder(temp_ / "out");
  for (std::size_t size = 0; size <= whole_.size(); ++size) {
    put(folder, whole_.substr(0, size));
    Journal journal(folder, kManifest, plan_);
    const bool at_line_end = size == 0 || whole_[size - 1] == '\n';
    ASSERT_EQ(journal.notes().size(), at_line_end ? 0u : 1u) << size;
    const auto lines = std::count(whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(size), '\n');
    ASSERT_EQ(journal.records().size(), static_cast<std::size_t>(lines)) << size;
    run(journal, all_, 2);
    ASSERT_EQ(read(records()), whole_) << size;
  }
}

// In the last line it is a torn end, cut and told; before that it is damage, refused and told where.
TEST_F(JournalTest, EveryBitFlipIsDetected) {
  const OutputFolder folder(temp_ / "out");
  const std::size_t last = whole_.rfind('\n', whole_.size() - 2) + 1;
  for (std::size_t bit = 0; bit < whole_.size() * 8; ++bit) {
    std::string damaged = whole_;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    put(folder, damaged);
    const auto line =
        1 + std::count(whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(bit / 8), '\n');
    std::string message;
    if (bit / 8 + 1 < last) {
      message = refusal([&] { Journal(folder, kManifest, plan_); }, Exit::kOutput);
      ASSERT_EQ(read(records()), damaged) << "a refused file is left as it is";
    } else {
      Journal journal(folder, kManifest, plan_);
      ASSERT_EQ(journal.notes().size(), 1u) << bit;
      message = "error[E-OUT-09]" + journal.notes()[0];
      run(journal, all_, 2);
      ASSERT_EQ(read(records()), whole_) << bit;
      // The line end before the last line joins two lines.
      if (bit / 8 + 1 == last) continue;
    }
    ASSERT_TRUE(message.starts_with("error[E-OUT-09]")) << bit << " " << message;
    ASSERT_NE(message.find("line " + std::to_string(line)), message.npos) << bit << " " << message;
  }
}

TEST_F(JournalTest, RepairCutsAtTheDamage) {
  const OutputFolder folder(temp_ / "out");
  std::string damaged = whole_;
  damaged[whole_.find('\n') + 30] ^= 1;
  put(folder, damaged);
  Journal journal(folder, kManifest, plan_, Journal::Damage::kCut);
  EXPECT_EQ(journal.records().size(), 1u);
  EXPECT_EQ(journal.notes().size(), 1u);
  run(journal, all_, 2);
  EXPECT_EQ(read(records()), whole_);
}

TEST_F(JournalTest, RecordsOutOfPlaceAreRefused) {
  const OutputFolder folder(temp_ / "out");
  const auto given = [&](std::vector<Record> list) {
    return [this, &folder, text = text_of(list)] {
      put(folder, text);
      Journal(folder, kManifest, plan_);
    };
  };
  const auto& a = all_;
  expect_refusal(given({a[0], a[1], a[1], a[2]}), "E-OUT-09", "line 3, .*stands in line 2 already",
                 Exit::kOutput);
  expect_refusal(given({a[0], a[1], a[0]}), "E-OUT-09", "line 3, .*stands in line 1 already", Exit::kOutput);
  expect_refusal(given({a[0], a[2], a[1]}), "E-OUT-09", "line 2, .*stands where the plan has", Exit::kOutput);
  expect_refusal(given({a[0], a[2]}), "E-OUT-09", "line 2, .*stands where the plan has", Exit::kOutput);
  Record foreign = a[1];
  foreign.point = "of another run";
  expect_refusal(given({a[0], foreign}), "E-OUT-09", "of another run", Exit::kOutput);
  std::vector<Record> more = a;
  more.push_back(foreign);
  expect_refusal(given(more), "E-OUT-09", "after the plan's last", Exit::kOutput);
  expect_refusal(
      [&] {
        put(folder, whole_ + std::string(4096, '\0') + "\n" + record_line(a[0]) + "\n");
        Journal(folder, kManifest, plan_);
      },
      "E-OUT-09", "line 7", Exit::kOutput);
}

TEST_F(JournalTest, ZeroBlocksAtTheEndAreATornWrite) {
  const OutputFolder folder(temp_ / "out");
  put(folder, whole_.substr(0, whole_.size() - 100) + std::string(4096, '\0'));
  Journal journal(folder, kManifest, plan_);
  EXPECT_EQ(journal.notes().size(), 1u);
  run(journal, all_, 2);
  EXPECT_EQ(read(records()), whole_);
}

TEST_F(JournalTest, AnotherExperimentIsRefusedFieldByField) {
  const OutputFolder folder(temp_ / "out");
  { const Journal journal(folder, kManifest, plan_); }
  Manifest other = kManifest;
  other[1].second = "fedcba";
  other[2] = {"points[1]", "knorm"};
  expect_refusal(
      [&] { Journal(folder, other, plan_); }, "E-OUT-04",
      "model: there \"0123456789abcdef\", now \"fedcba\"; points\\[0\\]: there \"full\", now absent; "
      "points\\[1\\]: there absent, now \"knorm\"",
      Exit::kNotComparable);
  fs::remove(folder.file("manifest.json"));
  expect_refusal([&] { Journal(folder, kManifest, plan_); }, "E-OUT-05", "absent, and there are records",
                 Exit::kNotComparable);
}

TEST_F(JournalTest, EveryBitFlipOfTheManifestIsDetected) {
  const OutputFolder folder(temp_ / "out");
  const std::string good = manifest_text(kManifest);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string damaged = good;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    write(folder.file("manifest.json"), damaged);
    try {
      Journal(folder, kManifest, plan_);
      FAIL() << "bit " << bit;
    } catch (const Error& error) {
      ASSERT_TRUE(error.exit() == Exit::kOutput || error.exit() == Exit::kNotComparable) << error.what();
      ASSERT_NE(std::string(error.what()).find("manifest.json"), std::string::npos);
    }
  }
}

TEST_F(JournalTest, TimingsGoOnAfterATornLine) {
  const OutputFolder folder(temp_ / "out");
  write(temp_ / "out/timings.jsonl", "{\"a\":1}\n{\"b\"");
  Journal(folder, kManifest, plan_).append_timing("{\"c\":3}");
  EXPECT_EQ(read(temp_ / "out/timings.jsonl"), "{\"a\":1}\n{\"b\"\n{\"c\":3}\n");
}

// Runs `act` in a process of its own; it ends with what `act` returns.
pid_t spawn(const std::function<int()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 99;
    try {
      code = act();
    } catch (const Error& error) {
      code = static_cast<int>(error.exit());
    } catch (...) {
    }
    ::_exit(code);
  }
  return child;
}

int status_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_F(JournalTest, OneRunAtATime) {
  const std::string path = temp_ / "out";
  {
    const OutputFolder first(path);
    expect_refusal(
        [&] { OutputFolder second(path); }, "E-OUT-03",
        "another run holds this folder: pid " + std::to_string(::getpid()) + " on host .+, started 20",
        Exit::kLocked);
    EXPECT_EQ(status_of(spawn([&] { return OutputFolder(path), 0; })), static_cast<int>(Exit::kLocked));
  }
  EXPECT_NO_THROW(OutputFolder{path});
}

TEST_F(JournalTest, OfManyAtOnceOneProceeds) {
  const std::string path = temp_ / "out";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 50; ++i)
    children.push_back(spawn([&] {
      const OutputFolder held(path);
      ::close(ready[1]);
      char unused;
      return ::read(ready[0], &unused, 1) == 0 ? 0 : 98;  // until the parent has seen all others fail
    }));
  int locked = 0;
  for (int i = 0; i < 49; ++i) {
    int status = 0;
    ::waitpid(-1, &status, 0);
    locked += WIFEXITED(status) && WEXITSTATUS(status) == static_cast<int>(Exit::kLocked);
  }
  ::close(ready[1]);
  int status = 0;
  ASSERT_GT(::waitpid(-1, &status, 0), 0);
  ::close(ready[0]);
  EXPECT_EQ(locked, 49);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(JournalTest, KilledAtAnyMoment) {
  const std::vector<Record> many = records_of(200, 3);
  const std::vector<RecordKey> plan = plan_of(many);
  const std::string path = temp_ / "out";
  int acknowledged[2];
  ASSERT_EQ(::pipe2(acknowledged, O_NONBLOCK), 0);
  const auto child = [&](bool slow) {
    const OutputFolder folder(path);
    Journal journal(folder, kManifest, plan);
    for (std::size_t i = journal.records().size(); i < many.size(); ++i) {
      const std::span<const Record> one(&many[i], 1);
      journal.append(one);
      if (::write(acknowledged[1], "x", 1) != 1) return 97;
      if (slow) ::usleep(200);
    }
    return 0;
  };
  std::mt19937 rng(5);
  long acknowledged_records = 0;
  int killed = 0;
  for (int round = 0; round < 80; ++round) {
    const pid_t pid = spawn([&] { return child(true); });
    ::usleep(std::uniform_int_distribution<useconds_t>(0, 3000)(rng));
    ::kill(pid, SIGKILL);
    killed += status_of(pid) == -SIGKILL;
    char buffer[4096];
    if (const ssize_t got = ::read(acknowledged[0], buffer, sizeof buffer); got > 0)
      acknowledged_records += got;
    const std::string there = read(records());
    ASSERT_GE(std::count(there.begin(), there.end(), '\n'), acknowledged_records);
    ASSERT_TRUE(text_of(many).starts_with(there)) << round;
  }
  EXPECT_GE(killed, 50);
  EXPECT_EQ(status_of(spawn([&] { return child(false); })), 0);
  EXPECT_EQ(read(records()), text_of(many));
  ::close(acknowledged[0]);
  ::close(acknowledged[1]);
}

TEST_F(JournalTest, FileSizeLimit) {
  install_signal_handlers();  // SIGXFSZ would kill
  const OutputFolder folder(temp_ / "out");
  Journal journal(folder, kManifest, plan_);
  struct rlimit before;
  ::getrlimit(RLIMIT_FSIZE, &before);
  struct rlimit small = before;
  small.rlim_cur = whole_.size() / 2;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = refusal([&] { run(journal, all_, 2); }, Exit::kOutput);
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(message.find("after 2 records, all of them safe: File too large"), message.npos) << message;
  EXPECT_NE(message.find("run the same command again to resume"), message.npos) << message;
  EXPECT_TRUE(read(records()).ends_with('\n'));
  EXPECT_EQ(read(records()), whole_.substr(0, read(records()).size()));
  try {
    journal.append(std::span(all_).subspan(2, 1));
    FAIL() << "a journal that failed must not go on";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit(), Exit::kInternal);
  }
  Journal again(folder, kManifest, plan_);
  run(again, all_, 2);
  EXPECT_EQ(read(records()), whole_);
}

TEST_F(JournalTest, FullDisk) {
  const std::string disk = temp_ / "disk";
  fs::create_directory(disk);
  if (::mount("none", disk.c_str(), "tmpfs", 0, "size=32k") != 0)
    GTEST_SKIP() << "mounting a small tmpfs is not permitted here";
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{disk};
  const std::vector<Record> many = records_of(20, 4);
  const std::vector<RecordKey> plan = plan_of(many);
  {
    const OutputFolder folder(disk);
    Journal journal(folder, kManifest, plan);
    const std::string message = refusal([&] { run(journal, many, 4); }, Exit::kOutput);
    EXPECT_NE(message.find(" records, all of them safe: No space left on device"), message.npos) << message;
    const std::string there = read(folder.file("records.jsonl"));
    EXPECT_GT(there.size(), 0u);
    EXPECT_TRUE(there.ends_with('\n'));
    EXPECT_TRUE(text_of(many).starts_with(there));
    const std::string large(64 * 1024, 'x');
    expect_refusal([&] { folder.write_file("manifest.json", large); }, "E-OUT-06", "No space left",
                   Exit::kOutput);
    EXPECT_EQ(read(folder.file("manifest.json")), manifest_text(kManifest));
    EXPECT_FALSE(fs::exists(folder.file(".manifest.json.tmp")));
  }
  ASSERT_EQ(::mount("none", disk.c_str(), "tmpfs", MS_REMOUNT, "size=1m"), 0);
  {
    const OutputFolder folder(disk);
    Journal journal(folder, kManifest, plan);
    run(journal, many, 4);
    EXPECT_EQ(read(folder.file("records.jsonl")), text_of(many));
  }
  ASSERT_EQ(::mount("none", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
  expect_refusal([&] { OutputFolder{disk}; }, "E-OUT-06", "Read-only file system", Exit::kOutput);
}

TEST_F(JournalTest, FolderThatCannotBe) {
  expect_refusal([] { OutputFolder("/proc/evictbench/results"); }, "E-OUT-06", "cannot be made",
                 Exit::kOutput);
  temp_.write("file", "");
  expect_refusal([&] { OutputFolder(temp_ / "file"); }, "E-OUT-06", "Not a directory|cannot", Exit::kOutput);
  expect_refusal([&] { OutputFolder(temp_ / "file/below"); }, "E-OUT-06", "Not a directory", Exit::kOutput);
}

TEST_F(JournalTest, FolderDeletedOrMovedUnderUs) {
  const OutputFolder folder(temp_ / "out");
  Journal journal(folder, kManifest, plan_);
  journal.append(std::span(all_).first(2));
  fs::rename(temp_ / "out", temp_ / "moved");
  expect_refusal([&] { journal.append(std::span(all_).subspan(2, 2)); }, "E-OUT-06", "moved or deleted",
                 Exit::kOutput);
  fs::remove_all(temp_ / "moved");
  expect_refusal([&] { folder.write_file("results.json", "{}"); }, "E-OUT-06", "No such file", Exit::kOutput);
}

TEST_F(JournalTest, FilesAreReplacedWhole) {
  const OutputFolder folder(temp_ / "out");
  folder.write_file("results.json", "old");
  folder.write_file("results.json", "new");
  EXPECT_EQ(read(temp_ / "out/results.json"), "new");
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++files;
  EXPECT_EQ(files, 2u);  // and the lock
}

TEST(Signals, TheFirstStopsBetweenUnitsTheSecondAtOnce) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(status_of(spawn([&] {
                install_signal_handlers();
                check_signals();
                ::raise(SIGHUP);
                ::raise(SIGPIPE);
                ::raise(signal);
                if (!stop_requested()) return 1;
                check_signals();
                return 2;
              })),
              128 + signal);
    EXPECT_EQ(status_of(spawn([&] {
                install_signal_handlers();
                ::raise(signal);
                ::raise(signal);
                return 3;
              })),
              128 + signal);
  }
}

}  // namespace
}  // namespace evictbench
