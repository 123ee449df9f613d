#include "nn/attention.h"

#include <cmath>

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"

namespace imageforge {

Tensor split_heads(const Ctx & ctx, Tensor x, int64_t heads) {
    return ggml_reshape_4d(ctx.graph, x, x->ne[0] / heads, heads, x->ne[1], x->ne[2]);
}

bool eight_bit_products(const Ctx & ctx, Tensor weight) {
    return ggml_is_quantized(weight->type) && use_kernel(ctx, Kernel::Linear);
}

/// With fewer keys, scores take too little time to matter.
static constexpr int64_t many_keys = 256;

/// The head size that zeros are padded to, so that ggml's flash attention is fast; 0 where it has none. CPU:
/// multiples of its tiles of 16. GPUs: the sizes that CUDA has tensor-core kernels for.
static int64_t flash_head_size(const Ctx & ctx, int64_t d) {
    if (ctx.cpu) return (d + 15) / 16 * 16;
    for (int64_t size : {64, 80, 96, 112, 128, 256}) {
        if (d <= size) return size;
    }
    return 0;
}

static Tensor flash_attention(const Ctx & ctx, Tensor q, Tensor k, Tensor v, Tensor mask, float scale) {
    ggml_context * g = ctx.graph;
    const int64_t d = q->ne[0], padding = flash_head_size(ctx, d) - d;
    auto by_head = [&](Tensor x, bool narrow) {
        if (padding > 0) x = ggml_pad(g, x, static_cast<int>(padding), 0, 0, 0);
        x = ggml_permute(g, x, 0, 2, 1, 3);
        return narrow ? ggml_cast(g, x, GGML_TYPE_F16) : x;
    };
    if (mask) mask = ggml_cast(g, mask, GGML_TYPE_F16);
    // GPU kernels take keys and values in F16. The CPU's reads F32 too, without rounding.
    Tensor y = ggml_flash_attn_ext(g, by_head(q, false), by_head(k, !ctx.cpu), by_head(v, !ctx.cpu), mask,
                                   scale, 0, 0);
    ggml_prec_set_acc(y, GGML_PREC_F32);
    if (padding > 0) {
        y = ggml_cont(g,
                      ggml_view_4d(g, y, d, y->ne[1], y->ne[2], y->ne[3], y->nb[1], y->nb[2], y->nb[3], 0));
    }
    return y;
}

static Tensor softmax_attention(const Ctx & ctx, Tensor q, Tensor k, Tensor v,
                                const AttentionOptions & options, float scale) {
    ggml_context * g = ctx.graph;
    q = ggml_permute(g, q, 0, 2, 1, 3);                // [d, Lq, heads, N]
    k = ggml_permute(g, k, 0, 2, 1, 3);                // [d, Lk, heads, N]
    v = ggml_cont(g, ggml_permute(g, v, 1, 2, 0, 3));  // [Lk, d, heads, N]
    Tensor scores = ggml_mul_mat(g, k, q);             // [Lk, Lq, heads, N]
    ggml_prec_set_acc(scores, GGML_PREC_F32);
    if (options.causal) {
        scores = ggml_diag_mask_inf(g, ggml_scale(g, scores, scale), 0);
        scale = 1;
    }
    Tensor weights = ggml_soft_max_ext(g, scores, options.mask, scale, 0);
    Tensor y = ggml_mul_mat(g, v, weights);               // [d, Lq, heads, N]
    return ggml_cont(g, ggml_permute(g, y, 0, 2, 1, 3));  // [d, heads, Lq, N]
}

/// Grouped-query attention: repeats each key head for every query head that uses it.
static Tensor repeat_heads(const Ctx & ctx, Tensor x, int64_t heads) {
    ggml_context * g = ctx.graph;
    const int64_t d = x->ne[0], shared = x->ne[1], rows = x->ne[2] * x->ne[3];
    if (shared == heads) return x;
    Tensor groups = ggml_reshape_4d(g, ggml_is_contiguous(x) ? x : ggml_cont(g, x), d, 1, shared, rows);
    groups = ggml_repeat_4d(g, groups, d, heads / shared, shared, rows);
    return ggml_reshape_4d(g, groups, d, heads, x->ne[2], x->ne[3]);
}

static Tensor choose(const Ctx & ctx, Tensor q, Tensor k, Tensor v, const AttentionOptions & options) {
    const int64_t d = q->ne[0];
    const float scale = options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<float>(d));
    // a bias by head: our kernel takes none, and flash attention would round it to F16
    const bool one_mask = !options.mask || options.mask->ne[2] == 1;
    if (one_mask && use_kernel(ctx, Kernel::Attention)) {
        return kernels::attention(ctx.graph, *ctx.env, q, repeat_heads(ctx, k, q->ne[1]),
                                  repeat_heads(ctx, v, q->ne[1]), options.mask, scale, options.causal,
                                  options.eight_bit && k->ne[2] >= many_keys);
    }
    if (one_mask && ctx.flash_attention && !options.causal && flash_head_size(ctx, d) != 0) {
        return flash_attention(ctx, q, k, v, options.mask, scale);
    }
    return softmax_attention(ctx, q, k, v, options, scale);
}

Tensor attention(const Ctx & ctx, Tensor q, Tensor k, Tensor v, const AttentionOptions & options) {
    Tensor y = choose(ctx, q, k, v, options);
    return ggml_reshape_3d(ctx.graph, y, y->ne[0] * y->ne[1], y->ne[2], y->ne[3]);
}

}  // namespace imageforge
