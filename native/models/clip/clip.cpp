#include "models/clip/clip.h"

#include "core/error.h"
#include "nn/attention.h"
#include "nn/ops.h"

namespace imageforge::clip {

static Activation activation_named(const std::string & name) {
    if (name == "quick_gelu") return Activation::QuickGelu;
    if (name == "gelu") return Activation::Gelu;
    fail(ErrorCode::InvalidArgument, "clip: activation is \"%s\", expected quick_gelu or gelu", name.c_str());
}

Settings::Settings(const Config & config)
    : width(config.integer("width", 1)),
      layers(config.integer("layers", 1, 256)),
      heads(config.integer("heads", 1)),
      intermediate(config.integer("intermediate", 1)),
      vocab(config.integer("vocab", 1)),
      positions(config.integer("positions", 1)),
      activation(activation_named(config.text("activation"))),
      end_token(config.integer("endToken")),
      projection(config.integer("projection")),
      projection_transposed(config.flag_or("projectionTransposed", false)) {
    config.check_all_read("clip");
    if (width % heads != 0) {
        fail(ErrorCode::InvalidArgument, "clip: width %lld doesn't divide into %lld heads",
             static_cast<long long>(width), static_cast<long long>(heads));
    }
}

SelfAttention::SelfAttention(Weights w, const Settings & s)
    : query(w / "q_proj", s.width, s.width),
      key(w / "k_proj", s.width, s.width),
      value(w / "v_proj", s.width, s.width),
      out(w / "out_proj", s.width, s.width),
      heads(s.heads) {}

Tensor SelfAttention::forward(const Ctx & ctx, Tensor x) const {
    AttentionOptions options;
    options.causal = true;
    Tensor q = split_heads(ctx, query.forward(ctx, x), heads);
    Tensor k = split_heads(ctx, key.forward(ctx, x), heads);
    Tensor v = split_heads(ctx, value.forward(ctx, x), heads);
    return out.forward(ctx, imageforge::attention(ctx, q, k, v, options));
}

Mlp::Mlp(Weights w, const Settings & s)
    : in(w / "fc1", s.width, s.intermediate),
      out(w / "fc2", s.intermediate, s.width),
      activation(s.activation) {}

Tensor Mlp::forward(const Ctx & ctx, Tensor x) const {
    Tensor h = in.forward(ctx, x);
    return out.forward(ctx, activation == Activation::QuickGelu ? quick_gelu(ctx, h) : gelu(ctx, h));
}

Layer::Layer(Weights w, const Settings & s)
    : norm1(w / "layer_norm1", s.width),
      attention(w / "self_attn", s),
      norm2(w / "layer_norm2", s.width),
      mlp(w / "mlp", s) {}

Tensor Layer::forward(const Ctx & ctx, Tensor x) const {
    x = add(ctx, attention.forward(ctx, norm1.forward(ctx, x)), x);
    return add(ctx, mlp.forward(ctx, norm2.forward(ctx, x)), x);
}

TextProjection::TextProjection(Weights w, const Settings & s)
    : weight(s.projection_transposed ? w.get("weight", {s.projection, s.width})
                                     : w.get("weight", {s.width, s.projection})),
      transposed(s.projection_transposed) {}

Tensor TextProjection::forward(const Ctx & ctx, Tensor x) const {
    Tensor matrix = transposed ? ggml_cont(ctx.graph, ggml_transpose(ctx.graph, weight)) : weight;
    return product(ctx, matrix, x);
}

TextEncoder::TextEncoder(Settings given, Weights w)
    : settings(std::move(given)),
      token_embedding((w / "text_model" / "embeddings" / "token_embedding")
                          .get("weight", {settings.width, settings.vocab})),
      position_embedding((w / "text_model" / "embeddings" / "position_embedding")
                             .get("weight", {settings.width, settings.positions})),
      final_norm(w / "text_model" / "final_layer_norm", settings.width) {
    for (int i = 0; i < settings.layers; i++)
        layers.emplace_back(w / "text_model" / "encoder" / "layers" / i, settings);
    if (settings.projection) projection.emplace(w / "text_projection", settings);
}

Tensor TextEncoder::embed(const Ctx & ctx, Tensor ids) const {
    return ggml_get_rows(ctx.graph, token_embedding, ids);
}

std::vector<Tensor> TextEncoder::forward(const Ctx & ctx, Tensor vectors, Tensor places) const {
    Tensor x = add(ctx, vectors, ggml_get_rows(ctx.graph, position_embedding, places));
    std::vector<Tensor> states = {x};
    for (const Layer & layer : layers) states.push_back(layer.forward(ctx, states.back()));
    return states;
}

}  // namespace imageforge::clip
