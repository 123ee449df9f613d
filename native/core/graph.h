// What a network's forward() gets: the graph under construction and where it will run.
#pragma once
#include <ggml.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace imageforge {

namespace kernels {
struct Env;
}

using Tensor = ggml_tensor *;

/// One low-rank update of one weight: W += scale * up @ down (kernels: down [kw, kh, in, rank], up [1, 1,
/// rank, out]).
struct LoraUpdate {
    Tensor down;
    Tensor up;
    float scale;
    int64_t row = 0;  // first output row of W that it updates (fused qkv weights), 0 for the whole of W
};

/// Where a graph computes one part of a picture, its group norms take the statistics of the whole: either
/// each measures and reports its own, or each is given those that were measured. Norms ask in the order in
/// which they are built.
struct SharedStatistics {
    std::function<void(Tensor)> measured;  // [2, groups, N]: mean, standard deviation
    std::function<Tensor(int groups)> given;
};

struct Ctx {
    ggml_context * graph;  // tensors and operations are added here
    bool cpu = true;       // runs on the CPU: native/kernels may be used instead of ggml's own operations
    bool flash_attention = true;
    /// ggml convolves block by block there, without unrolling all patches: on CUDA and Metal that is slow.
    bool direct_convolution = true;
    const kernels::Env * env = nullptr;  // holds the abort flag for native/kernels; outlives the graph
    const std::unordered_map<Tensor, std::vector<LoraUpdate>> * loras = nullptr;  // by weight tensor
    const SharedStatistics * statistics = nullptr;  // of group norms; nullptr: each has its own
};

}  // namespace imageforge
