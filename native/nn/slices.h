// Parts of a tensor of tokens: the columns of a fused projection, and runs of a joint sequence.
#pragma once
#include "core/graph.h"

namespace imageforge {

/// The tensor itself where it is contiguous, else a contiguous copy.
Tensor contiguous(const Ctx & ctx, Tensor x);

/// x [w, L, N] -> [width, L, N], a view of the columns from `first` on.
Tensor slice_columns(const Ctx & ctx, Tensor x, int64_t first, int64_t width);

/// Columns as heads: x [w, L, N] -> [d, heads, L, N], a view.
Tensor slice_heads(const Ctx & ctx, Tensor x, int64_t first, int64_t d, int64_t heads);

/// x [w, L, N] -> [w, count, N], the tokens from `first` on, contiguous.
Tensor slice_tokens(const Ctx & ctx, Tensor x, int64_t first, int64_t count);

}  // namespace imageforge
