// Scaled dot-product attention, by whichever of three ways suits the device: our kernel, ggml's flash
// attention, or an explicit softmax.
#pragma once
#include "core/graph.h"

namespace imageforge {

struct AttentionOptions {
    Tensor mask = nullptr;  // F32 [Lk, Lq], or [Lk, Lq, heads] for a bias by head; added to the scores
    bool causal = false;    // a query sees keys up to its own place
    float scale = 0;        // 0: 1 / sqrt(d)
    /// Scores on 8 bits of queries and keys, where there are so many that it pays: for those that come out of
    /// products with 8 bits themselves (see eight_bit_products).
    bool eight_bit = false;
};

/// [d * heads, L, N], as a projection gives it -> [d, heads, L, N], without moving anything.
Tensor split_heads(const Ctx & ctx, Tensor x, int64_t heads);

/// True when a layer with this weight computes on 8 bits of its input: what it gives is as exact as that.
bool eight_bit_products(const Ctx & ctx, Tensor weight);

/// q [d, heads, Lq, N], k and v [d, heads, Lk, N] or with fewer heads, each of which serves as many query
/// heads that follow each other -> [d * heads, Lq, N].
Tensor attention(const Ctx & ctx, Tensor q, Tensor k, Tensor v, const AttentionOptions & options = {});

}  // namespace imageforge
