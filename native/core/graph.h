// The context of a network's forward(): the graph under construction and the device that will run it.
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

/// Group statistics of a whole picture, for graphs that compute a part of it. A graph either reports the
/// statistics that its norms measure, or hands its norms the ones measured before. Norms ask in the order of
/// construction.
struct SharedStatistics {
    std::function<void(Tensor)> measured;  // [2, groups, N]: mean, standard deviation
    std::function<Tensor(int groups)> given;
};

struct Ctx {
    ggml_context * graph;  // tensors and operations are added here
    bool cpu = true;       // runs on the CPU: native/kernels may be used instead of ggml's own operations
    bool flash_attention = true;
    /// ggml convolves directly there, without unrolling all patches (im2col). That is slow on CUDA and Metal.
    bool direct_convolution = true;
    const kernels::Env * env = nullptr;  // holds the abort flag for native/kernels; outlives the graph
    const std::unordered_map<Tensor, std::vector<LoraUpdate>> * loras = nullptr;  // by weight tensor
    const SharedStatistics * statistics = nullptr;  // of group norms; nullptr: each has its own
};

}  // namespace imageforge
