// ggml has one log callback for the whole process, while engines come and go. This file connects the two.
#include "core/log.h"

#include <ggml.h>

#include <cstdio>
#include <map>
#include <mutex>

namespace imageforge {

namespace {

std::mutex mutex;
std::map<int, LogSink> & sinks() {
    static std::map<int, LogSink> list;
    return list;
}
int next_handle = 1;

void on_ggml_log(ggml_log_level level, const char * text, void *) {
    // ggml writes some lines in pieces (GGML_LOG_LEVEL_CONT): collect until the end of the line.
    thread_local std::string line;
    thread_local LogLevel line_level = LogLevel::Info;
    if (level == GGML_LOG_LEVEL_DEBUG) line_level = LogLevel::Debug;
    if (level == GGML_LOG_LEVEL_INFO || level == GGML_LOG_LEVEL_NONE) line_level = LogLevel::Info;
    if (level == GGML_LOG_LEVEL_WARN) line_level = LogLevel::Warn;
    if (level == GGML_LOG_LEVEL_ERROR) line_level = LogLevel::Error;
    line += text;
    if (line.empty() || line.back() != '\n') return;
    line.pop_back();
    log_line(line_level, line);
    line.clear();
}

}  // namespace

int add_log_sink(LogSink sink) {
    std::lock_guard<std::mutex> lock(mutex);
    sinks()[next_handle] = std::move(sink);
    return next_handle++;
}

void remove_log_sink(int handle) {
    std::lock_guard<std::mutex> lock(mutex);
    sinks().erase(handle);
}

void log_line(LogLevel level, const std::string & message) {
    std::lock_guard<std::mutex> lock(mutex);
    for (const auto & sink : sinks()) sink.second(level, message);
    if (sinks().empty() && level >= LogLevel::Warn) std::fprintf(stderr, "imageforge: %s\n", message.c_str());
}

void capture_ggml_log() { ggml_log_set(on_ggml_log, nullptr); }

}  // namespace imageforge
