// ggml's backends are modules beside this library, found at run time. This finds them, and says why one of
// them offers no device.
#pragma once
#include <ggml-backend.h>

#include <string>
#include <vector>

namespace imageforge {

/// Finds the backends beside this library (or in `folder`); further calls do nothing. Safe from any thread.
void load_backends(const std::string & folder = "");

/// "cpu", "cuda", "metal" or "vulkan".
std::string backend_kind(ggml_backend_dev_t dev);

struct SilentBackend {
    std::string kind;
    std::string reason;  // "libggml-cuda.so doesn't load: libcublas.so.13: cannot open shared object file"
};

/// GPU backends that were compiled in and offer no device on this machine.
std::vector<SilentBackend> list_silent_backends();

/// Why there is no device of that kind, as a sentence; empty for an unknown kind and for one that has
/// devices.
std::string explain_missing(const std::string & kind);

}  // namespace imageforge
