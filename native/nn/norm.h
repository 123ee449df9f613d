// Group norm over images and layer norm over tokens.
#pragma once
#include "core/graph.h"
#include "core/weights.h"

namespace imageforge {

struct GroupNorm {
    Tensor weight, bias;  // [channels]
    int groups;
    float eps;

    GroupNorm(Weights w, int64_t channels, int groups, float eps);

    Tensor forward(const Ctx & ctx, Tensor x) const;       // [W, H, C, N] -> the same shape
    Tensor forward_silu(const Ctx & ctx, Tensor x) const;  // SiLU of it, in one pass where that exists
};

struct LayerNorm {
    Tensor weight, bias;  // [width]
    float eps;

    LayerNorm(Weights w, int64_t width, float eps = 1e-5f);

    Tensor forward(const Ctx & ctx, Tensor x) const;  // [width, n, …] -> the same shape
};

}  // namespace imageforge
