// ggml's backends: modules beside this library that are found at run time, and why one of them offers no
// device.
#pragma once
#include <ggml-backend.h>

#include <string>
#include <vector>

namespace imageforge {

/// Finds the backends beside this library (or in `folder`); further calls do nothing. Any thread.
void load_backends(const std::string & folder = "");

/// "cpu", "cuda", "metal" or "vulkan".
std::string backend_kind(ggml_backend_dev_t dev);

struct SilentBackend {
    std::string kind;
    std::string reason;  // "libggml-cuda.so doesn't load: libcublas.so.13: cannot open shared object file"
};

/// GPU backends that were compiled and offer no device here.
std::vector<SilentBackend> list_silent_backends();

/// Why there is no device of that kind, as a sentence; empty for a kind that nobody knows or that has
/// devices.
std::string explain_missing(const std::string & kind);

}  // namespace imageforge
