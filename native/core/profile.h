// Times a graph operation by operation: where a network's time goes, and at which rate it computes there.
#pragma once
#include <ggml-backend.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace imageforge {

/// The time of one operation on tensors of certain shapes, all calls together.
struct ProfileEntry {
    std::string operation;  // "MUL_MAT f16 [320, 2560] x [320, 4096]"
    std::string kind;       // "convolution", "product", "attention", "norm", "activation" or "rest"
    uint64_t calls = 0;
    double seconds = 0;
    double flop = 0;   // of the heavy kinds; a convolution counts the plain method's
    double bytes = 0;  // sources and result, each once
};

struct Profile {
    std::map<std::string, ProfileEntry> operations;
    uint64_t runs = 0;    // graphs that ran
    uint64_t builds = 0;  // of them, those that were built first
    double seconds = 0;   // wall clock of the runs, with building, placing and filling

    /// The most expensive first.
    std::vector<ProfileEntry> by_time() const;
};

/// A table of the first `lines` operations and their sum.
std::string format_profile(const Profile & profile, size_t lines);

/// The whole profile as one line of JSON: {network, runs, builds, seconds, operations: [ProfileEntry…]}.
std::string profile_json(const std::string & network, const Profile & profile);

/// Computes the nodes of a placed graph one after the other and adds their times to `profile`.
ggml_status compute_profiled(ggml_backend_t backend, ggml_cgraph * graph, Profile & profile);

}  // namespace imageforge
