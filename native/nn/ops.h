// Operations without weights that networks share.
#pragma once
#include "core/graph.h"

namespace imageforge {

Tensor add(const Ctx & ctx, Tensor a, Tensor b);
/// x + y. Where y is shorter in one dimension, it is added from index `first` of that dimension on.
Tensor add_rows(const Ctx & ctx, Tensor x, Tensor y, int dimension, int64_t first);

Tensor silu(const Ctx & ctx, Tensor x);
Tensor relu(const Ctx & ctx, Tensor x);
Tensor gelu(const Ctx & ctx, Tensor x);        // erf
Tensor quick_gelu(const Ctx & ctx, Tensor x);  // x * sigmoid(1.702 x)

/// value * gelu(gate), erf; x [2 d, n] holds value, then gate -> [d, n].
Tensor geglu(const Ctx & ctx, Tensor x);

/// x [W, H, C, N] + v [C, N].
Tensor add_per_channel(const Ctx & ctx, Tensor x, Tensor v);

/// [W, H, C1, N], [W, H, C2, N] -> [W, H, C1 + C2, N].
Tensor concat_channels(const Ctx & ctx, Tensor a, Tensor b);

/// [W, H, C, N] -> [C, W * H, N], and back.
Tensor to_tokens(const Ctx & ctx, Tensor x);
Tensor to_image(const Ctx & ctx, Tensor x, int64_t width, int64_t height);

/// Nearest-neighbour upsampling by 2.
Tensor upsample_nearest2(const Ctx & ctx, Tensor x);

/// Sinusoidal embedding of t [N] -> [width, N]: cosines, then sines, of t * 10000^(-i / (width / 2)).
Tensor timestep_embedding(const Ctx & ctx, Tensor t, int64_t width);

}  // namespace imageforge
