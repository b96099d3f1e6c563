#include <cstdio>
#include <exception>
#include <new>

#include "harness/commands.h"
#include "harness/signals.h"

namespace {

constexpr const char* kFooter =
    "Exit codes: 0 good, 1 regression, 2 usage, 3 sweep file, 4 model, tokenizer or data, 5 some points "
    "failed, "
    "6 output, 7 folder locked, 8 not comparable, 9 internal, 130/143 stopped by a signal.";

int run(int argc, char** argv) {
  CLI::App app("evictbench: KV-cache eviction policies on equal terms", "evictbench");
  app.set_version_flag("--version", EVICTBENCH_VERSION);
  app.footer(kFooter);
  app.require_subcommand(1);
  evictbench::Action action;
  evictbench::add_run(app, action);
  evictbench::add_check(app, action);
  evictbench::add_list(app, action);
  evictbench::add_inspect(app, action);
  evictbench::add_generate(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(evictbench::Exit::kUsage);
  }
  return action();
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
