// Adaptive layer norm (adaLN-Zero of DiT, Peebles and Xie 2023): a vector shifts, scales and gates what a
// block does to its tokens.
#pragma once
#include <vector>

#include "nn/linear.h"

namespace imageforge {

/// The modulation of one sub-layer, [width, 1, N] each.
struct Modulation {
    Tensor shift, scale;
    Tensor gate;  // nullptr without one
};

/// Makes modulations from a vector.
struct Modulator {
    Linear linear;  // width -> a run of shift, scale and gate for each sub-layer
    int64_t width;
    int sublayers;
    bool gated;

    Modulator(Weights w, int64_t width, int sublayers, bool gated, bool with_bias);

    std::vector<Modulation> forward(const Ctx & ctx,
                                    Tensor vector) const;  // [width, N], through SiLU already
};

/// Layer norm without weights, then x * (1 + scale) + shift; x [width, L, N].
Tensor modulated_norm(const Ctx & ctx, Tensor x, const Modulation & modulation, float eps);

/// x + gate * y.
Tensor add_gated(const Ctx & ctx, Tensor x, Tensor y, const Modulation & modulation);

}  // namespace imageforge
