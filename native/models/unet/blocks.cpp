#include "models/unet/blocks.h"

#include <algorithm>

#include "nn/ops.h"

namespace imageforge::unet {

ResBlock::ResBlock(Weights w, int64_t in, int64_t out, int64_t time_width, int groups)
    : norm_in(w / "in_layers" / 0, in, groups, 1e-5f),
      conv_in(w / "in_layers" / 2, in, out),
      time(w / "emb_layers" / 1, time_width, out),
      norm_out(w / "out_layers" / 0, out, groups, 1e-5f),
      conv_out(w / "out_layers" / 3, out, out) {
    if (in != out) skip.emplace(w / "skip_connection", in, out, Conv2d::pointwise());
}

Tensor ResBlock::forward(const Ctx & ctx, Tensor x, Tensor t) const {
    Tensor h = conv_in.forward(ctx, norm_in.forward_silu(ctx, x));
    h = add_per_channel(ctx, h, time.forward(ctx, t));
    h = conv_out.forward(ctx, norm_out.forward_silu_over(ctx, h));
    return add(ctx, h, skip ? skip->forward(ctx, x) : x);
}

SelfAttention::SelfAttention(Weights w, int64_t width, int64_t heads)
    : query(w / "to_q", width, width, false),
      key(w / "to_k", width, width, false),
      value(w / "to_v", width, width, false),
      out(w / "to_out" / 0, width, width),
      heads(heads) {}

Tensor SelfAttention::forward(const Ctx & ctx, Tensor x) const {
    Tensor q = split_heads(ctx, query.forward(ctx, x), heads);
    Tensor k = split_heads(ctx, key.forward(ctx, x), heads);
    Tensor v = split_heads(ctx, value.forward(ctx, x), heads);
    AttentionOptions options;
    options.eight_bit = eight_bit_products(ctx, query.weight);
    return out.forward(ctx, attention(ctx, q, k, v, options));
}

CrossAttention::CrossAttention(Weights w, int64_t width, int64_t context_width, int64_t heads)
    : query(w / "to_q", width, width, false),
      key(w / "to_k", context_width, width, false),
      value(w / "to_v", context_width, width, false),
      out(w / "to_out" / 0, width, width),
      width(width),
      heads(heads) {}

PromptState CrossAttention::read(const Ctx & ctx, Tensor context) const {
    return {key.forward(ctx, context), value.forward(ctx, context)};
}

Tensor CrossAttention::forward(const Ctx & ctx, Tensor x, const PromptState & prompt) const {
    Tensor q = split_heads(ctx, query.forward(ctx, x), heads);
    Tensor k = split_heads(ctx, prompt.keys, heads);
    Tensor v = split_heads(ctx, prompt.values, heads);
    return out.forward(ctx, attention(ctx, q, k, v));
}

FeedForward::FeedForward(Weights w, int64_t width)
    : in(w / "net" / 0 / "proj", width, 8 * width), out(w / "net" / 2, 4 * width, width) {}

/// Computed for some tokens at a time: the hidden states are eight times as wide as x, and would be the
/// largest tensor of a step.
Tensor FeedForward::forward(const Ctx & ctx, Tensor x) const {
    constexpr int64_t most_values = int64_t{12} << 20;
    const int64_t rows = x->ne[1] * x->ne[2], width = in.weight->ne[1];
    const int64_t parts = std::min(rows, (rows * width + most_values - 1) / most_values);
    if (parts <= 1) return out.forward(ctx, geglu(ctx, in.forward(ctx, x)));
    ggml_context * g = ctx.graph;
    Tensor y = nullptr;
    for (int64_t i = 0; i < parts; i++) {
        const int64_t first = rows * i / parts, count = rows * (i + 1) / parts - first;
        Tensor part = ggml_view_2d(g, x, x->ne[0], count, x->nb[1], first * x->nb[1]);
        part = out.forward(ctx, geglu(ctx, in.forward(ctx, part)));
        y = y ? ggml_concat(g, y, part, 1) : part;
    }
    return ggml_reshape_3d(g, y, y->ne[0], x->ne[1], x->ne[2]);
}

TransformerBlock::TransformerBlock(Weights w, int64_t width, int64_t context_width, int64_t heads)
    : norm1(w / "norm1", width),
      self(w / "attn1", width, heads),
      norm2(w / "norm2", width),
      cross(w / "attn2", width, context_width, heads),
      norm3(w / "norm3", width),
      feed_forward(w / "ff", width) {}

Tensor TransformerBlock::forward(const Ctx & ctx, Tensor x, const PromptState & prompt) const {
    x = add(ctx, self.forward(ctx, norm1.forward(ctx, x)), x);
    x = add(ctx, cross.forward(ctx, norm2.forward(ctx, x), prompt), x);
    return add(ctx, feed_forward.forward(ctx, norm3.forward(ctx, x)), x);
}

SpatialTransformer::SpatialTransformer(Weights w, int64_t channels, int64_t context_width, int64_t heads,
                                       int64_t depth, int groups)
    : norm(w / "norm", channels, groups, 1e-6f),
      proj_in(w / "proj_in", channels, channels),
      proj_out(w / "proj_out", channels, channels) {
    for (int i = 0; i < depth; i++)
        blocks.emplace_back(w / "transformer_blocks" / i, channels, context_width, heads);
}

Tensor SpatialTransformer::forward(const Ctx & ctx, Tensor x, Prompt & prompt) const {
    Tensor h = proj_in.forward(ctx, to_tokens(ctx, norm.forward(ctx, x)));
    for (const TransformerBlock & block : blocks) h = block.forward(ctx, h, prompt.next());
    return add(ctx, to_image(ctx, proj_out.forward(ctx, h), x->ne[0], x->ne[1]), x);
}

Upsample::Upsample(Weights w, int64_t channels)
    : conv(w / "conv", channels, channels, {/*kernel*/ 3, /*stride*/ 1, 1, 1, /*upsample2*/ true, true}) {}

Tensor Upsample::forward(const Ctx & ctx, Tensor x, int64_t width, int64_t height) const {
    if (x->ne[0] * 2 == width && x->ne[1] * 2 == height) return conv.forward(ctx, x);
    x = upsample_nearest2(ctx, x);
    x = ggml_cont(ctx.graph, ggml_view_4d(ctx.graph, x, width, height, x->ne[2], x->ne[3], x->nb[1], x->nb[2],
                                          x->nb[3], 0));
    Conv2d same_size = conv;
    same_size.options.upsample2 = false;
    return same_size.forward(ctx, x);
}

}  // namespace imageforge::unet
