// Passes log lines of ggml and of this code to the listeners: the addon's engines or a test program.
#pragma once
#include <functional>
#include <string>

namespace imageforge {

enum class LogLevel { Debug, Info, Warn, Error };

using LogSink = std::function<void(LogLevel, const std::string &)>;

/// Sinks are called from any thread, one line at a time. Returns a handle for remove_log_sink.
int add_log_sink(LogSink sink);
/// Once it has returned, the sink is never called again.
void remove_log_sink(int handle);

void log_line(LogLevel level, const std::string & message);

/// Routes ggml's log here. Without a sink, warnings and errors go to stderr.
void capture_ggml_log();

}  // namespace imageforge
