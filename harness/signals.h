#pragma once

namespace evictbench {

// SIGINT and SIGTERM ask the run to stop at the next check_signals(); a second one ends it at once. SIGHUP, SIGPIPE
// and SIGXFSZ are ignored: the run outlives its terminal, and a full disk is an error of write(), not a death.
void install_signal_handlers();

bool stop_requested();

// Between units of work: throws Error(kInterrupted or kTerminated) if a stop was asked for.
void check_signals();

// The same for commands that store nothing on the way.
void check_signals_unstored();

}  // namespace evictbench
