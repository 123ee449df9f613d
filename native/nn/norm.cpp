#include "nn/norm.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"

namespace imageforge {

GroupNorm::GroupNorm(Weights w, int64_t channels, int groups, float eps)
    : weight(w.get("weight", {channels})), bias(w.get("bias", {channels})), groups(groups), eps(eps) {}

static Tensor normalize(const Ctx & ctx, const GroupNorm & norm, Tensor x, bool silu) {
    ggml_context * g = ctx.graph;
    if (use_kernel(ctx, Kernel::GroupNorm)) {
        return kernels::group_norm(g, *ctx.env, x, norm.weight, norm.bias, norm.groups, norm.eps, silu);
    }
    const int64_t channels = norm.weight->ne[0];
    Tensor y = ggml_group_norm(g, x, norm.groups, norm.eps);
    y = ggml_mul(g, y, ggml_reshape_4d(g, norm.weight, 1, 1, channels, 1));
    y = ggml_add(g, y, ggml_reshape_4d(g, norm.bias, 1, 1, channels, 1));
    return silu ? ggml_silu(g, y) : y;
}

Tensor GroupNorm::forward(const Ctx & ctx, Tensor x) const { return normalize(ctx, *this, x, false); }
Tensor GroupNorm::forward_silu(const Ctx & ctx, Tensor x) const { return normalize(ctx, *this, x, true); }

LayerNorm::LayerNorm(Weights w, int64_t width, float eps)
    : weight(w.get("weight", {width})), bias(w.get("bias", {width})), eps(eps) {}

Tensor LayerNorm::forward(const Ctx & ctx, Tensor x) const {
    ggml_context * g = ctx.graph;
    if (use_kernel(ctx, Kernel::LayerNorm)) return kernels::layer_norm(g, *ctx.env, x, weight, bias, eps);
    return ggml_add(g, ggml_mul(g, ggml_norm(g, x, eps), weight), bias);
}

}  // namespace imageforge
