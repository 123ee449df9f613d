#include "nn/conv2d.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"
#include "nn/ops.h"

namespace imageforge {

static Shape kernel_shape(const Weights & w, int64_t kernel, int64_t in, int64_t out) {
    if (w.taps_first("weight")) return {in, kernel * kernel, out};
    return {kernel, kernel, in, out};
}

Conv2d::Conv2d(Weights w, int64_t in, int64_t out, Options options)
    : weight(w.get("weight", kernel_shape(w, options.kernel, in, out))),
      bias(options.with_bias ? w.get("bias", {out}) : nullptr),
      options(options) {}

/// ggml's own convolution: on the CPU block by block, elsewhere as one matrix product over unrolled patches.
static Tensor convolve_with_ggml(const Ctx & ctx, Tensor weight, Tensor x, const Conv2d::Options & o) {
    ggml_context * g = ctx.graph;
    if (o.upsample2) x = upsample_nearest2(ctx, x);
    int pad = o.pad_before;
    if (o.pad_before != o.pad_after) {
        x = ggml_pad_ext(g, x, o.pad_before, o.pad_after, o.pad_before, o.pad_after, 0, 0, 0, 0);
        pad = 0;
    }
    if (weight->type != GGML_TYPE_F16 && weight->type != GGML_TYPE_F32) {
        const bool taps_first = ggml_is_quantized(weight->type);
        weight = ggml_cast(g, weight, GGML_TYPE_F32);
        if (taps_first) {
            const int64_t in = weight->ne[0], out = weight->ne[2];
            weight = ggml_reshape_4d(g, ggml_cont(g, ggml_permute(g, weight, 1, 0, 2, 3)), o.kernel, o.kernel,
                                     in, out);
        }
    }
    if (ctx.cpu) return ggml_conv_2d_direct(g, weight, x, o.stride, o.stride, pad, pad, 1, 1);
    return ggml_conv_2d(g, weight, x, o.stride, o.stride, pad, pad, 1, 1);
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

/// The down kernel takes the convolution's place, the up kernel is 1 x 1.
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
