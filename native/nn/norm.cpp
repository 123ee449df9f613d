#include "nn/norm.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"

namespace imageforge {

GroupNorm::GroupNorm(Weights w, int64_t channels, int groups, float eps)
    : weight(w.get("weight", {channels})), bias(w.get("bias", {channels})), groups(groups), eps(eps) {}

/// Mean and deviation of each group with ggml's operations, [2, groups, N].
static Tensor measure_with_ggml(ggml_context * g, Tensor x, int groups, float eps) {
    Tensor values = ggml_reshape_3d(g, x, ggml_nelements(x) / groups / x->ne[3], groups, x->ne[3]);
    Tensor mean = ggml_mean(g, values);
    Tensor variance = ggml_mean(g, ggml_sqr(g, ggml_sub(g, values, mean)));
    return ggml_concat(g, mean, ggml_sqrt(g, ggml_scale_bias(g, variance, 1, eps)), 0);
}

static Tensor normalize_with_ggml(ggml_context * g, const GroupNorm & norm, Tensor x, Tensor statistics) {
    if (!statistics) return ggml_group_norm(g, x, norm.groups, norm.eps);
    Tensor values = ggml_reshape_3d(g, x, ggml_nelements(x) / norm.groups / x->ne[3], norm.groups, x->ne[3]);
    const auto part = [&](size_t i) {
        return ggml_cont(g, ggml_view_3d(g, statistics, 1, norm.groups, x->ne[3], statistics->nb[1],
                                         statistics->nb[2], i * sizeof(float)));
    };
    values = ggml_div(g, ggml_sub(g, values, part(0)), part(1));
    return ggml_reshape_4d(g, values, x->ne[0], x->ne[1], x->ne[2], x->ne[3]);
}

Tensor GroupNorm::normalize(const Ctx & ctx, Tensor x, bool silu, bool over) const {
    ggml_context * g = ctx.graph;
    const bool own_kernel = use_kernel(ctx, Kernel::GroupNorm);
    Tensor statistics = nullptr;
    if (ctx.statistics && ctx.statistics->given) statistics = ctx.statistics->given(groups);
    if (ctx.statistics && ctx.statistics->measured) {
        statistics = own_kernel ? kernels::group_statistics(g, *ctx.env, x, groups, eps)
                                : measure_with_ggml(g, x, groups, eps);
        ctx.statistics->measured(statistics);
    }
    if (own_kernel)
        return kernels::group_norm(g, *ctx.env, x, weight, bias, {groups, eps, silu, over, statistics});
    const int64_t channels = weight->ne[0];
    Tensor y = normalize_with_ggml(g, *this, x, statistics);
    y = ggml_mul(g, y, ggml_reshape_4d(g, weight, 1, 1, channels, 1));
    y = ggml_add(g, y, ggml_reshape_4d(g, bias, 1, 1, channels, 1));
    return silu ? ggml_silu(g, y) : y;
}

Tensor GroupNorm::forward(const Ctx & ctx, Tensor x) const { return normalize(ctx, x, false, false); }
Tensor GroupNorm::forward_silu(const Ctx & ctx, Tensor x) const { return normalize(ctx, x, true, false); }
Tensor GroupNorm::forward_silu_over(const Ctx & ctx, Tensor x, Tensor reader) const {
    Tensor y = normalize(ctx, x, true, true);
    // An extra operand, which the operation ignores, fixes the order.
    if (reader && y->view_src) y->src[GGML_MAX_SRC - 1] = reader;
    return y;
}

LayerNorm::LayerNorm(Weights w, int64_t width, float eps)
    : weight(w.get("weight", {width})), bias(w.get("bias", {width})), eps(eps) {}

Tensor LayerNorm::forward(const Ctx & ctx, Tensor x) const {
    ggml_context * g = ctx.graph;
    if (use_kernel(ctx, Kernel::LayerNorm)) return kernels::layer_norm(g, *ctx.env, x, weight, bias, eps);
    return ggml_add(g, ggml_mul(g, ggml_norm(g, x, eps), weight), bias);
}

}  // namespace imageforge
