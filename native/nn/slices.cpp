#include "nn/slices.h"

namespace imageforge {

Tensor contiguous(const Ctx & ctx, Tensor x) { return ggml_is_contiguous(x) ? x : ggml_cont(ctx.graph, x); }

Tensor slice_columns(const Ctx & ctx, Tensor x, int64_t first, int64_t width) {
    return ggml_view_3d(ctx.graph, x, width, x->ne[1], x->ne[2], x->nb[1], x->nb[2], first * x->nb[0]);
}

Tensor slice_heads(const Ctx & ctx, Tensor x, int64_t first, int64_t d, int64_t heads) {
    return ggml_view_4d(ctx.graph, x, d, heads, x->ne[1], x->ne[2], d * x->nb[0], x->nb[1], x->nb[2],
                        first * x->nb[0]);
}

Tensor slice_tokens(const Ctx & ctx, Tensor x, int64_t first, int64_t count) {
    return contiguous(
        ctx, ggml_view_3d(ctx.graph, x, x->ne[0], count, x->ne[2], x->nb[1], x->nb[2], first * x->nb[1]));
}

}  // namespace imageforge
