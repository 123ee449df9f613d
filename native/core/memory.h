// How much memory this process may still use: the machine's, the control group's and its own limits.
#pragma once
#include <cstdint>
#include <string>

namespace imageforge {

struct SystemMemory {
    uint64_t total = 0;
    uint64_t free = 0;
};

/// Host memory. Page cache counts as free: the kernel gives it back.
SystemMemory system_memory();

/// "1.5 GiB", "640 MiB", "12 KiB"
std::string format_bytes(uint64_t bytes);

}  // namespace imageforge
