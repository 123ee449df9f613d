#include "nn/conv2d.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"
#include "nn/ops.h"
#include "nn/slices.h"

namespace imageforge {

static Shape kernel_shape(const Weights & w, int64_t kernel, int64_t in, int64_t out) {
    if (w.taps_first("weight")) return {in, kernel * kernel, out};
    return {kernel, kernel, in, out};
}

Conv2d::Conv2d(Weights w, int64_t in, int64_t out, Options options)
    : weight(w.get_updatable("weight", kernel_shape(w, options.kernel, in, out))),
      bias(options.with_bias ? w.get("bias", {out}) : nullptr),
      options(options) {}

/// [kw, kh, in, out] in F32, whatever type and order the kernel is stored in.
static Tensor plain_kernel(const Ctx & ctx, Tensor weight, int64_t side) {
    ggml_context * g = ctx.graph;
    const bool taps_first = ggml_is_quantized(weight->type);
    weight = ggml_cast(g, weight, GGML_TYPE_F32);
    if (!taps_first) return weight;
    const int64_t in = weight->ne[0], out = weight->ne[2];
    return ggml_reshape_4d(g, ggml_cont(g, ggml_permute(g, weight, 1, 0, 2, 3)), side, side, in, out);
}

/// One matrix product over unrolled patches (im2col). ggml_conv_2d rounds patches to F16 and lets GPUs
/// accumulate in F16, which can overflow where activations aren't normalised (SDXL's autoencoder).
static Tensor convolve_patches(const Ctx & ctx, Tensor weight, Tensor x, int stride, int pad) {
    ggml_context * g = ctx.graph;
    if (weight->type != GGML_TYPE_F32) weight = ggml_cast(g, weight, GGML_TYPE_F32);
    Tensor patches = ggml_im2col(g, weight, x, stride, stride, pad, pad, 1, 1, true, GGML_TYPE_F32);
    const int64_t width = patches->ne[1], height = patches->ne[2], count = patches->ne[3];
    Tensor y = ggml_mul_mat(g, ggml_reshape_2d(g, patches, patches->ne[0], width * height * count),
                            ggml_reshape_2d(g, weight, patches->ne[0], weight->ne[3]));
    ggml_prec_set_acc(y, GGML_PREC_F32);
    y = ggml_reshape_4d(g, y, width, height, count, weight->ne[3]);
    return count == 1 ? ggml_reshape_4d(g, y, width, height, weight->ne[3], 1)
                      : ggml_cont(g, ggml_permute(g, y, 0, 1, 3, 2));
}

/// ggml's own convolution.
static Tensor convolve_with_ggml(const Ctx & ctx, Tensor weight, Tensor x, const Conv2d::Options & o) {
    ggml_context * g = ctx.graph;
    if (o.upsample2) x = upsample_nearest2(ctx, x);
    int pad = o.pad_before;
    if (o.pad_before != o.pad_after) {
        x = ggml_pad_ext(g, x, o.pad_before, o.pad_after, o.pad_before, o.pad_after, 0, 0, 0, 0);
        pad = 0;
    }
    if (weight->type != GGML_TYPE_F16 && weight->type != GGML_TYPE_F32)
        weight = plain_kernel(ctx, weight, o.kernel);
    if (!ctx.direct_convolution) return convolve_patches(ctx, weight, x, o.stride, pad);
    return ggml_conv_2d_direct(g, weight, contiguous(ctx, x), o.stride, o.stride, pad, pad, 1, 1);
}

static Tensor convolve(const Ctx & ctx, Tensor weight, Tensor x, Tensor bias, const Conv2d::Options & o) {
    if (use_kernel(ctx, Kernel::Conv2d)) {
        kernels::ConvParams params;
        params.stride = o.stride;
        params.pad_left = params.pad_top = o.pad_before;
        params.pad_right = params.pad_bottom = o.pad_after;
        params.upsample2 = o.upsample2;
        return kernels::conv2d(ctx.graph, *ctx.env, weight, x, bias, params);
    }
    Tensor y = convolve_with_ggml(ctx, weight, x, o);
    return bias ? ggml_add(ctx.graph, y, ggml_reshape_4d(ctx.graph, bias, 1, 1, bias->ne[0], 1)) : y;
}

/// A LoRA of a convolution: the down kernel convolves in its place, the up kernel is 1 x 1.
static Tensor apply_lora(const Ctx & ctx, const LoraUpdate & lora, Tensor x, Tensor y,
                         const Conv2d::Options & o) {
    Tensor inner = ggml_scale(ctx.graph, convolve(ctx, lora.down, x, nullptr, o), lora.scale);
    return add_rows(ctx, y, convolve(ctx, lora.up, inner, nullptr, Conv2d::pointwise()), 2, lora.row);
}

Tensor Conv2d::forward(const Ctx & ctx, Tensor x) const {
    Tensor y = convolve(ctx, weight, x, bias, options);
    if (!ctx.loras) return y;
    const auto found = ctx.loras->find(weight);
    if (found == ctx.loras->end()) return y;
    for (const LoraUpdate & lora : found->second) y = apply_lora(ctx, lora, x, y, options);
    return y;
}

}  // namespace imageforge
