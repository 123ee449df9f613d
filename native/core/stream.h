// Computing a graph whose weights needn't all be in memory: in stretches, each with a bounded amount of
// weights. While one computes, the system reads the next one's from the mapped file; those of a finished one
// go, unless there is room for them until the next run.
#pragma once
#include <ggml-backend.h>

#include "core/weights.h"

namespace imageforge {

/// Weights of a stretch, at most (a single tensor may have more). About a block of FLUX in 4 bits: enough to
/// compute for seconds while the next ones are read.
constexpr uint64_t stretch_bytes = uint64_t{64} << 20;

struct Streaming {
    uint64_t most = stretch_bytes;  // weights of a stretch
    /// Share of the weights that stay in memory, 0 … 1. What doesn't stay then leaves the system's file cache
    /// as well: there it would push out what does, since all of it is used equally often.
    double keep = 0;
};

/// The same results as ggml_backend_graph_compute, on the CPU.
ggml_status compute_streamed(ggml_backend_t backend, ggml_cgraph * graph, const WeightStore & store,
                             const Streaming & streaming);

}  // namespace imageforge
