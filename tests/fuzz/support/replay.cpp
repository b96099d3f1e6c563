// Drives a fuzz target without libFuzzer: every file of a corpus, then mutations of them. fuzz_<target> CORPUS [MUTATIONS
// [SEED]]: the same arguments run the same inputs. What fails is left in the file replay-failure of the current folder.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::uint64_t kMutations = 10'000;
constexpr double kMostSeconds = 2;  // of processor time for one input
constexpr std::size_t kMostBytes = 8192;

std::string current;  // the input that is being run

void keep_current(int signal) {
  const int file = ::open("replay-failure", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const bool kept = file >= 0 && ::write(file, current.data(), current.size()) >= 0;
  constexpr char kSaid[] = "the input is in replay-failure\n";
  if (kept && ::write(STDERR_FILENO, kSaid, sizeof kSaid - 1) < 0) std::_Exit(1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run_current() {
  const std::clock_t start = std::clock();
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size());
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (seconds < kMostSeconds) return;
  std::fprintf(stderr, "an input of %zu bytes took %.1f s\n", current.size(), seconds);
  std::abort();
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, std::uint64_t seed) : corpus_(corpus), rng_(seed) {}

  std::string next() {
    std::string text = corpus_[below(corpus_.size())];
    for (std::size_t times = 1 + below(4); times > 0; --times) change(text);
    text.resize(std::min(text.size(), kMostBytes));
    return text;
  }

 private:
  std::size_t below(std::size_t end) { return end == 0 ? 0 : static_cast<std::size_t>(rng_() % end); }
  char byte() {
    static constexpr char kOdd[] = "\0\xff\x7f\x80\"{}[],:-0917.eE\\\n \t";
    return below(2) == 0 ? static_cast<char>(below(256)) : kOdd[below(sizeof kOdd - 1)];
  }
  // A piece of another input: mostly the words and brackets that make sense there.
  std::string piece() {
    const std::string& from = corpus_[below(corpus_.size())];
    return from.substr(below(from.size()), 1 + below(24));
  }
  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1),
                      some = below(std::min<std::size_t>(text.size() - at, 24) + 1);
    switch (below(6)) {
      case 0:
        if (at < text.size()) text[at] = byte();
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 2:
        text.insert(at, 1 + below(3), byte());
        break;
      case 3:
        text.erase(at, some);
        break;
      case 4:
        text.insert(at, piece());
        break;
      default:
        text.replace(at, some, piece());
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 rng_;
};

std::vector<std::string> read_corpus(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) return std::fprintf(stderr, "usage: %s CORPUS [MUTATIONS [SEED]]\n", argv[0]), 2;
  const std::vector<std::string> corpus = read_corpus(argv[1]);
  if (corpus.empty()) return std::fprintf(stderr, "%s: an empty corpus\n", argv[1]), 1;
  const std::uint64_t mutations = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : kMutations,
                      seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, keep_current);
  for (const std::string& input : corpus) {
    current = input;
    run_current();
  }
  Mutator mutator(corpus, seed);
  for (std::uint64_t i = 0; i < mutations; ++i) {
    current = mutator.next();
    run_current();
  }
  std::printf("%zu inputs and %llu mutations\n", corpus.size(), static_cast<unsigned long long>(mutations));
}
