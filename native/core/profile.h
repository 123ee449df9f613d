// Times a graph operation by operation: where a network's time goes, and at which rate it computes there.
#pragma once
#include <ggml-backend.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace imageforge {

/// One kind of operation's share of a graph's time.
struct ProfileEntry {
    std::string operation;  // "MUL_MAT f16 [320, 2560] x [320, 4096]"
    uint64_t calls = 0;
    double seconds = 0;
    double flop = 0;
};

using Profile = std::map<std::string, ProfileEntry>;

/// A table of the first `lines` entries and their sum.
std::string format_profile(const std::vector<ProfileEntry> & entries, size_t lines);

/// Computes the nodes of a placed graph one after the other and adds their times to `profile`.
ggml_status compute_profiled(ggml_backend_t backend, ggml_cgraph * graph, Profile & profile);

}  // namespace imageforge
