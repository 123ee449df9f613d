// Error codes as JavaScript sees them, and messages built in printf style.
#include "core/error.h"

#include <cstdarg>
#include <cstdio>
#include <vector>

namespace imageforge {

const char * to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::InvalidArgument:
            return "INVALID_ARGUMENT";
        case ErrorCode::Unsupported:
            return "UNSUPPORTED";
        case ErrorCode::DeviceUnavailable:
            return "DEVICE_UNAVAILABLE";
        case ErrorCode::OutOfMemory:
            return "OUT_OF_MEMORY";
        case ErrorCode::WeightsUnreadable:
            return "WEIGHTS_UNREADABLE";
        case ErrorCode::WeightsInvalid:
            return "WEIGHTS_INVALID";
        case ErrorCode::Busy:
            return "BUSY";
        case ErrorCode::Closed:
            return "CLOSED";
        case ErrorCode::Aborted:
            return "ABORTED";
        case ErrorCode::Internal:
            return "INTERNAL";
    }
    return "INTERNAL";
}

void fail(ErrorCode code, const char * format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int length = std::vsnprintf(nullptr, 0, format, args);
    va_end(args);
    std::vector<char> text(length > 0 ? static_cast<size_t>(length) + 1 : 1);
    std::vsnprintf(text.data(), text.size(), format, again);
    va_end(again);
    throw Error(code, text.data());
}

}  // namespace imageforge
