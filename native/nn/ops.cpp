#include "nn/ops.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"

namespace imageforge {

Tensor add(const Ctx & ctx, Tensor a, Tensor b) { return ggml_add(ctx.graph, a, b); }
Tensor add_rows(const Ctx & ctx, Tensor x, Tensor y, int dimension, int64_t first) {
    if (y->ne[dimension] == x->ne[dimension]) return ggml_add(ctx.graph, x, y);
    return ggml_acc(ctx.graph, x, y, x->nb[1], x->nb[2], x->nb[3], first * x->nb[dimension]);
}

Tensor silu(const Ctx & ctx, Tensor x) { return ggml_silu(ctx.graph, x); }
Tensor relu(const Ctx & ctx, Tensor x) { return ggml_relu(ctx.graph, x); }
Tensor gelu(const Ctx & ctx, Tensor x) { return ggml_gelu_erf(ctx.graph, x); }

Tensor quick_gelu(const Ctx & ctx, Tensor x) {
    // On the CPU, ggml_gelu_quick looks its result up in a table of F16 values, which costs three digits.
    if (!ctx.cpu) return ggml_gelu_quick(ctx.graph, x);
    return ggml_mul(ctx.graph, x, ggml_sigmoid(ctx.graph, ggml_scale(ctx.graph, x, 1.702f)));
}

Tensor geglu(const Ctx & ctx, Tensor x) {
    if (use_kernel(ctx, Kernel::Geglu)) return kernels::geglu(ctx.graph, *ctx.env, x);
    return ggml_geglu_erf_swapped(ctx.graph, x);  // ggml's own order is [gate, value]
}

Tensor add_per_channel(const Ctx & ctx, Tensor x, Tensor v) {
    return ggml_add(ctx.graph, x, ggml_reshape_4d(ctx.graph, v, 1, 1, v->ne[0], v->ne[1]));
}

Tensor concat_channels(const Ctx & ctx, Tensor a, Tensor b) { return ggml_concat(ctx.graph, a, b, 2); }

Tensor to_tokens(const Ctx & ctx, Tensor x) {
    Tensor rows = ggml_reshape_3d(ctx.graph, x, x->ne[0] * x->ne[1], x->ne[2], x->ne[3]);
    return ggml_cont(ctx.graph, ggml_permute(ctx.graph, rows, 1, 0, 2, 3));
}

Tensor to_image(const Ctx & ctx, Tensor x, int64_t width, int64_t height) {
    Tensor planes = ggml_cont(ctx.graph, ggml_permute(ctx.graph, x, 1, 0, 2, 3));
    return ggml_reshape_4d(ctx.graph, planes, width, height, planes->ne[1], planes->ne[2]);
}

Tensor upsample_nearest2(const Ctx & ctx, Tensor x) {
    return ggml_upscale(ctx.graph, x, 2, GGML_SCALE_MODE_NEAREST);
}

Tensor timestep_embedding(const Ctx & ctx, Tensor t, int64_t width) {
    return ggml_timestep_embedding(ctx.graph, t, static_cast<int>(width), 10000);
}

}  // namespace imageforge
