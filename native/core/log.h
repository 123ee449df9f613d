// Log lines of ggml and of our own code, handed to whoever listens (the addon's engines, a test program).
#pragma once
#include <functional>
#include <string>

namespace imageforge {

enum class LogLevel { Debug, Info, Warn, Error };

using LogSink = std::function<void(LogLevel, const std::string &)>;

/// Sinks are called from any thread, one line at a time. Returns a handle for remove_log_sink.
int add_log_sink(LogSink sink);
/// After it returns the sink isn't called any more.
void remove_log_sink(int handle);

void log_line(LogLevel level, const std::string & message);

/// Routes ggml's log here. Without a sink only warnings and errors are seen, on stderr.
void capture_ggml_log();

}  // namespace imageforge
