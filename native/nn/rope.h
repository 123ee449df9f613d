// Rotary position embedding (RoPE, Su et al. 2021): pairs of a head's values are rotated by angles that grow
// with the position.
#pragma once
#include "core/graph.h"

namespace imageforge {

/// Which values of a head form a pair: neighbours (2i, 2i + 1), or one from each half (i, i + width / 2).
enum class RopePairs { Neighbours, Halves };

struct Rope {
    RopePairs pairs;
    float theta;        // pair i rotates by position * theta^(-2 i / width)
    int64_t width;      // values of a head that are rotated
    int64_t first = 0;  // the first of them
};

/// x [d, heads, L, N], positions I32 [L] -> the same shape.
Tensor rotate(const Ctx & ctx, Tensor x, Tensor positions, const Rope & rope);

}  // namespace imageforge
