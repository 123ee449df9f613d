#include "models/flux/blocks.h"

#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/ops.h"
#include "nn/slices.h"

namespace imageforge::flux {

static constexpr float norm_eps = 1e-6f;

Tensor Positions::rotate(const Ctx & ctx, Tensor x) const {
    for (size_t axis = 0; axis < by_axis.size(); axis++) {
        if (by_axis[axis]) x = imageforge::rotate(ctx, x, by_axis[axis], ropes[axis]);
    }
    return x;
}

QkNorm::QkNorm(Weights w, int64_t head_dim)
    : query(w / "query_norm", head_dim, norm_eps, "scale"),
      key(w / "key_norm", head_dim, norm_eps, "scale") {}

/// Queries, keys and values: the first three widths of a fused projection.
static Heads split_qkv(const Ctx & ctx, Tensor fused, const QkNorm & norm, int64_t width, int64_t heads) {
    const int64_t d = width / heads;
    return {norm.query.forward(ctx, slice_heads(ctx, fused, 0, d, heads)),
            norm.key.forward(ctx, slice_heads(ctx, fused, width, d, heads)),
            slice_heads(ctx, fused, 2 * width, d, heads)};
}

/// `projection` is the weight that the heads came from.
static Tensor attend(const Ctx & ctx, const Heads & heads, const Positions & positions, Tensor projection) {
    AttentionOptions options;
    options.eight_bit = eight_bit_products(ctx, projection);
    return attention(ctx, positions.rotate(ctx, heads.query), positions.rotate(ctx, heads.key), heads.value,
                     options);
}

Mlp::Mlp(Weights w, const Settings & s)
    : in(w / 0, s.width, (s.gated_mlp() ? 2 : 1) * s.mlp_width, s.biases()),
      out(w / 2, s.mlp_width, s.width, s.biases()),
      gated(s.gated_mlp()) {}

Tensor Mlp::forward(const Ctx & ctx, Tensor x) const {
    Tensor h = in.forward(ctx, x);
    return out.forward(ctx, gated ? swiglu(ctx, h) : gelu_tanh(ctx, h));
}

Stream::Stream(Weights block, const std::string & name, const Settings & s)
    : qkv(block / (name + "_attn") / "qkv", s.width, 3 * s.width, s.biases()),
      norm(block / (name + "_attn") / "norm", s.head_dim()),
      proj(block / (name + "_attn") / "proj", s.width, s.width, s.biases()),
      mlp(block / (name + "_mlp"), s),
      heads(s.heads) {
    if (!s.flux2()) modulator.emplace(block / (name + "_mod") / "lin", s.width, 2, true, s.biases());
}

std::vector<Modulation> Stream::modulations(const Ctx & ctx, Tensor vector,
                                            const std::vector<Modulation> & shared) const {
    return modulator ? modulator->forward(ctx, vector) : shared;
}

Heads Stream::project(const Ctx & ctx, Tensor x, const std::vector<Modulation> & m) const {
    Tensor fused = qkv.forward(ctx, modulated_norm(ctx, x, m[0], norm_eps));
    return split_qkv(ctx, fused, norm, x->ne[0], heads);
}

Tensor Stream::finish(const Ctx & ctx, Tensor x, Tensor attended, const std::vector<Modulation> & m) const {
    x = add_gated(ctx, x, proj.forward(ctx, attended), m[0]);
    return add_gated(ctx, x, mlp.forward(ctx, modulated_norm(ctx, x, m[1], norm_eps)), m[1]);
}

DoubleBlock::DoubleBlock(Weights w, const Settings & s) : image(w, "img", s), text(w, "txt", s) {}

Tokens DoubleBlock::forward(const Ctx & ctx, Tokens x, const Conditions & c) const {
    const auto image_modulations = image.modulations(ctx, c.vector, c.image);
    const auto text_modulations = text.modulations(ctx, c.vector, c.text);
    const Heads of_image = image.project(ctx, x.image, image_modulations);
    const Heads of_text = text.project(ctx, x.text, text_modulations);
    auto join = [&](Tensor first, Tensor second) { return ggml_concat(ctx.graph, first, second, 2); };
    const Heads joint = {join(of_text.query, of_image.query), join(of_text.key, of_image.key),
                         join(of_text.value, of_image.value)};
    Tensor y = attend(ctx, joint, c.positions, image.qkv.weight);
    const int64_t text_length = x.text->ne[1], image_length = x.image->ne[1];
    return {image.finish(ctx, x.image, slice_tokens(ctx, y, text_length, image_length), image_modulations),
            text.finish(ctx, x.text, slice_tokens(ctx, y, 0, text_length), text_modulations)};
}

SingleBlock::SingleBlock(Weights w, const Settings & s)
    : in(w / "linear1", s.width, 3 * s.width + (s.gated_mlp() ? 2 : 1) * s.mlp_width, s.biases()),
      out(w / "linear2", s.width + s.mlp_width, s.width, s.biases()),
      norm(w / "norm", s.head_dim()),
      width(s.width),
      heads(s.heads),
      mlp_width(s.mlp_width),
      gated_mlp(s.gated_mlp()) {
    if (!s.flux2()) modulator.emplace(w / "modulation" / "lin", s.width, 1, true, s.biases());
}

Tensor SingleBlock::forward(const Ctx & ctx, Tensor x, const Conditions & c) const {
    const Modulation m = modulator ? modulator->forward(ctx, c.vector)[0] : c.single[0];
    Tensor fused = in.forward(ctx, modulated_norm(ctx, x, m, norm_eps));
    Tensor attended = attend(ctx, split_qkv(ctx, fused, norm, width, heads), c.positions, in.weight);
    Tensor h = slice_columns(ctx, fused, 3 * width, fused->ne[0] - 3 * width);
    Tensor joint = gated_mlp ? swiglu(ctx, h, attended) : gelu_tanh(ctx, h, attended);
    return add_gated(ctx, x, out.forward(ctx, joint), m);
}

}  // namespace imageforge::flux
