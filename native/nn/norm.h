// Group norm over images (Wu and He 2018) and layer norm over tokens (Ba et al. 2016).
#pragma once
#include "core/graph.h"
#include "core/weights.h"

namespace imageforge {

struct GroupNorm {
    Tensor weight, bias;  // [channels]
    int groups;
    float eps;

    GroupNorm(Weights w, int64_t channels, int groups, float eps);

    Tensor forward(const Ctx & ctx, Tensor x) const;  // [W, H, C, N] -> the same shape
    Tensor forward_silu(const Ctx & ctx,
                        Tensor x) const;  // followed by SiLU, in one pass where the device has that
    /// As forward_silu(), in place where possible. Nothing else may read x, except for `reader`, which is
    /// computed before.
    Tensor forward_silu_over(const Ctx & ctx, Tensor x, Tensor reader = nullptr) const;

private:
    Tensor normalize(const Ctx & ctx, Tensor x, bool silu, bool over) const;
};

struct LayerNorm {
    Tensor weight, bias;  // [width]
    float eps;

    LayerNorm(Weights w, int64_t width, float eps = 1e-5f);

    Tensor forward(const Ctx & ctx, Tensor x) const;  // [width, n, …] -> the same shape
};

}  // namespace imageforge
