// The one exception of the native code: it has a code for JavaScript and a message that says what
// was found, what was expected and, where possible, what to do.
#pragma once
#include <exception>
#include <string>

namespace imageforge {

enum class ErrorCode {
    InvalidArgument,    // INVALID_ARGUMENT: the caller passed something senseless
    Unsupported,        // UNSUPPORTED: known, but this build or device can't do it
    DeviceUnavailable,  // DEVICE_UNAVAILABLE
    OutOfMemory,        // OUT_OF_MEMORY: refused before it was tried
    WeightsUnreadable,  // WEIGHTS_UNREADABLE: the file can't be opened or mapped
    WeightsInvalid,  // WEIGHTS_INVALID: a tensor is missing, has another shape or type, or lies outside its
                     // file
    Busy,            // BUSY
    Closed,          // CLOSED: the object was closed before
    Aborted,         // ABORTED: abort() was called
    Internal,        // INTERNAL
};

const char * to_string(ErrorCode code);

class Error : public std::exception {
public:
    Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
    ErrorCode code() const { return code_; }
    const char * what() const noexcept override { return message_.c_str(); }

private:
    ErrorCode code_;
    std::string message_;
};

/// Throws Error with a printf-style message.
[[noreturn]] void fail(ErrorCode code, const char * format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace imageforge
