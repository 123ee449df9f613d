// Scaled dot-product attention (Vaswani et al. 2017) in one of three ways, by device: our kernel, ggml's
// flash attention, or an explicit softmax.
#pragma once
#include "core/graph.h"

namespace imageforge {

struct AttentionOptions {
    Tensor mask = nullptr;  // F32 [Lk, Lq], or [Lk, Lq, heads] for a bias by head; added to the scores
    bool causal = false;    // a query attends to keys up to its own position
    float scale = 0;        // 0: 1 / sqrt(d)
    /// Computes scores in 8 bits where there are enough keys for that to pay. For queries and keys that come
    /// from 8-bit products themselves (see eight_bit_products).
    bool eight_bit = false;
};

/// A projection's result [d * heads, L, N] -> [d, heads, L, N], a view.
Tensor split_heads(const Ctx & ctx, Tensor x, int64_t heads);

/// True when a layer with this weight rounds its input to 8 bits, so that its result has no more precision.
bool eight_bit_products(const Ctx & ctx, Tensor weight);

/// q [d, heads, Lq, N], k and v [d, heads, Lk, N] -> [d * heads, Lq, N]. k and v may have fewer heads
/// (grouped-query attention, Ainslie et al. 2023): each serves a run of neighbouring query heads.
Tensor attention(const Ctx & ctx, Tensor q, Tensor k, Tensor v, const AttentionOptions & options = {});

}  // namespace imageforge
