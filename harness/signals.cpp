#include "harness/signals.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "core/error.h"

namespace evictbench {
namespace {

std::atomic<int> requested{0};  // the signal, or 0
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  if (requested.exchange(signal) != 0) ::_exit(128 + signal);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

void stop_if_asked(const char* what_then) {
  const int signal = requested.load();
  if (signal == 0) return;
  throw Error(signal == SIGINT ? Exit::kInterrupted : Exit::kTerminated,
              fmt::format("stopped by {}; {}", signal == SIGINT ? "SIGINT" : "SIGTERM", what_then));
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_signal);
  handle(SIGTERM, on_signal);
  for (const int signal : {SIGHUP, SIGPIPE, SIGXFSZ}) handle(signal, SIG_IGN);
}

bool stop_requested() { return requested.load() != 0; }

void check_signals() {
  stop_if_asked("every finished record is safe. Run the same command again to resume.");
}

void check_signals_unstored() { stop_if_asked("nothing is stored. Run the same command to begin anew."); }

}  // namespace evictbench
