#include "models/t5/t5.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/ops.h"

namespace imageforge::t5 {

static constexpr float norm_eps = 1e-6f;

Settings::Settings(const Config & config)
    : width(config.integer("width", 1)),
      layers(config.integer("layers", 1, 256)),
      heads(config.integer("heads", 1)),
      head_dim(config.integer("headDim", 1)),
      intermediate(config.integer("intermediate", 1)),
      vocab(config.integer("vocab", 1)),
      buckets(config.integer("buckets", 4)),
      max_distance(config.integer("maxDistance", 2)) {
    config.check_all_read("t5");
    if (buckets % 4 != 0 || max_distance <= buckets / 4) {
        fail(ErrorCode::InvalidArgument, "t5: %lld buckets up to a distance of %lld can't be laid out",
             static_cast<long long>(buckets), static_cast<long long>(max_distance));
    }
}

int32_t bucket_of(int64_t distance, const Settings & s) {
    const int64_t half = s.buckets / 2,
                  near = half / 2;  // one half for keys before the query, one for those after
    const int64_t first = distance > 0 ? half : 0, far = std::abs(distance);
    if (far < near) return static_cast<int32_t>(first + far);
    const float ratio =
        std::log(static_cast<float>(far) / near) / std::log(static_cast<float>(s.max_distance) / near);
    const int64_t bucket = near + static_cast<int64_t>(ratio * (half - near));
    return static_cast<int32_t>(first + std::min(bucket, half - 1));
}

SelfAttention::SelfAttention(Weights w, const Settings & s)
    : query(w / "q", s.width, s.inner(), false),
      key(w / "k", s.width, s.inner(), false),
      value(w / "v", s.width, s.inner(), false),
      out(w / "o", s.inner(), s.width, false),
      heads(s.heads) {}

Tensor SelfAttention::forward(const Ctx & ctx, Tensor x, Tensor bias) const {
    AttentionOptions options;
    options.mask = bias;
    options.scale = 1;
    Tensor q = split_heads(ctx, query.forward(ctx, x), heads);
    Tensor k = split_heads(ctx, key.forward(ctx, x), heads);
    Tensor v = split_heads(ctx, value.forward(ctx, x), heads);
    return out.forward(ctx, imageforge::attention(ctx, q, k, v, options));
}

FeedForward::FeedForward(Weights w, const Settings & s)
    : gate(w / "wi_0", s.width, s.intermediate, false),
      value(w / "wi_1", s.width, s.intermediate, false),
      out(w / "wo", s.intermediate, s.width, false) {}

Tensor FeedForward::forward(const Ctx & ctx, Tensor x) const {
    Tensor h = ggml_mul(ctx.graph, gelu_tanh(ctx, gate.forward(ctx, x)), value.forward(ctx, x));
    return out.forward(ctx, h);
}

Block::Block(Weights w, const Settings & s)
    : norm1(w / "layer" / 0 / "layer_norm", s.width, norm_eps),
      attention(w / "layer" / 0 / "SelfAttention", s),
      norm2(w / "layer" / 1 / "layer_norm", s.width, norm_eps),
      feed_forward(w / "layer" / 1 / "DenseReluDense", s) {}

Tensor Block::forward(const Ctx & ctx, Tensor x, Tensor bias) const {
    x = add(ctx, attention.forward(ctx, norm1.forward(ctx, x), bias), x);
    return add(ctx, feed_forward.forward(ctx, norm2.forward(ctx, x)), x);
}

Encoder::Encoder(Settings given, Weights w)
    : settings(std::move(given)),
      token_embedding((w / "shared").get("weight", {settings.width, settings.vocab})),
      position_bias((w / "encoder" / "block" / 0 / "layer" / 0 / "SelfAttention" / "relative_attention_bias")
                        .get("weight", {settings.heads, settings.buckets})),
      final_norm(w / "encoder" / "final_layer_norm", settings.width, norm_eps) {
    for (int i = 0; i < settings.layers; i++) blocks.emplace_back(w / "encoder" / "block" / i, settings);
}

std::vector<Tensor> Encoder::forward(const Ctx & ctx, Tensor ids, Tensor buckets, int count) const {
    ggml_context * g = ctx.graph;
    const int64_t length = ids->ne[0];
    Tensor bias = ggml_get_rows(g, position_bias, buckets);  // [heads, keys * queries]
    bias = ggml_reshape_3d(g, bias, settings.heads, length, length);
    bias = ggml_cont(g, ggml_permute(g, bias, 2, 0, 1, 3));  // [keys, queries, heads]
    std::vector<Tensor> states = {ggml_get_rows(g, token_embedding, ids)};
    for (int i = 0; i < count; i++) states.push_back(blocks[i].forward(ctx, states.back(), bias));
    return states;
}

}  // namespace imageforge::t5
