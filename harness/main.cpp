#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include "harness/commands.h"
#include "harness/signals.h"

namespace {

constexpr const char* kFooter =
    "Exit codes: 0 good, 1 regression, 2 usage, 3 sweep file, 4 model, tokenizer or data, 5 some points "
    "failed, "
    "6 output, 7 folder locked, 8 not comparable, 9 internal, 75 card lost, 130/143 stopped by a signal.";

// One line of our own for whatever CLI11 found.
[[noreturn]] void refuse(const CLI::App& app, const CLI::ParseError& error) {
  std::string program = "evictbench";
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    program += " " + at->get_name();
  }
  std::string found = error.what();
  if (const std::vector<std::string> unknown = app.remaining(true); !unknown.empty())
    found = fmt::format("\"{}\" is no {} of it", evictbench::printable(unknown.front()),
                        unknown.front().starts_with("-") ? "option" : "command or argument");
  std::ranges::replace(found, '\n', ' ');
  evictbench::reject(
      evictbench::Exit::kUsage,
      {"E-CL-02", program, "", found, "the usage that its help shows", "see " + program + " --help"});
}

[[noreturn]] void no_output(const std::string& why) {
  evictbench::reject(evictbench::Exit::kOutput, {"E-OUT-10", "standard output", "", why,
                                                 "room for the answer", "write to a place that takes it"});
}

int run(int argc, char** argv) {
  CLI::App app("evictbench: KV-cache eviction policies on equal terms", "evictbench");
  app.set_version_flag("--version", EVICTBENCH_VERSION);
  app.footer(kFooter);
  app.require_subcommand(1);
  evictbench::Action action;
  evictbench::add_run(app, action);
  evictbench::add_check(app, action);
  evictbench::add_compare(app, action);
  evictbench::add_score(app, action);
  evictbench::add_list(app, action);
  evictbench::add_inspect(app, action);
  evictbench::add_generate(app, action);
  evictbench::add_heads(app, action);
  evictbench::add_layers(app, action);
  evictbench::add_bench(app, action);
  evictbench::add_perplexity(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    refuse(app, error);
  }
  int code = 0;
  try {
    code = action();
  } catch (const std::system_error& error) {
    if (!std::ferror(stdout)) throw;  // not of a print
    no_output(error.code().message());
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) no_output(std::strerror(errno));
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  evictbench::install_signal_handlers();
  try {
    return run(argc, argv);
  } catch (const evictbench::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.exit());
  } catch (const std::bad_alloc&) {
    std::fprintf(
        stderr,
        "error[E-IN-02] out of memory. Mend: use a smaller model, shorter prompts or fewer points.\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error[E-IN-01] %s. This is a bug of evictbench; please report it.\n", error.what());
  }
  return static_cast<int>(evictbench::Exit::kInternal);
}
