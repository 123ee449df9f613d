#include "models/causal_lm/causal_lm.h"

#include "core/error.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/ops.h"

namespace imageforge::causal_lm {

Settings::Settings(const Config & config)
    : width(config.integer("width", 1)),
      layers(config.integer("layers", 1, 256)),
      heads(config.integer("heads", 1)),
      kv_heads(config.integer("kvHeads", 1)),
      head_dim(config.integer("headDim", 2)),
      intermediate(config.integer("intermediate", 1)),
      vocab(config.integer("vocab", 1)),
      theta(static_cast<float>(config.number("theta"))),
      eps(static_cast<float>(config.number("eps"))),
      qk_norm(config.flag("qkNorm")),
      rope_interleaved(config.flag("ropeInterleaved")) {
    config.check_all_read("causal_lm");
    if (heads % kv_heads != 0 || head_dim % 2 != 0) {
        fail(ErrorCode::InvalidArgument,
             "causal_lm: %lld heads of %lld values don't share %lld key heads evenly",
             static_cast<long long>(heads), static_cast<long long>(head_dim),
             static_cast<long long>(kv_heads));
    }
}

SelfAttention::SelfAttention(Weights w, const Settings & s)
    : query(w / "q_proj", s.width, s.heads * s.head_dim, false),
      key(w / "k_proj", s.width, s.kv_heads * s.head_dim, false),
      value(w / "v_proj", s.width, s.kv_heads * s.head_dim, false),
      out(w / "o_proj", s.heads * s.head_dim, s.width, false),
      heads(s.heads),
      kv_heads(s.kv_heads),
      rope(s.rope()) {
    if (!s.qk_norm) return;
    query_norm.emplace(w / "q_norm", s.head_dim, s.eps);
    key_norm.emplace(w / "k_norm", s.head_dim, s.eps);
}

Tensor SelfAttention::forward(const Ctx & ctx, Tensor x, const Sight & sight) const {
    auto place = [&](Tensor heads_of, const std::optional<RmsNorm> & norm) {
        return rotate(ctx, norm ? norm->forward(ctx, heads_of) : heads_of, sight.positions, rope);
    };
    AttentionOptions options;
    options.mask = sight.mask;
    Tensor q = place(split_heads(ctx, query.forward(ctx, x), heads), query_norm);
    Tensor k = place(split_heads(ctx, key.forward(ctx, x), kv_heads), key_norm);
    Tensor v = split_heads(ctx, value.forward(ctx, x), kv_heads);
    Tensor y = imageforge::attention(ctx, q, k, v, options);
    if (sight.seeing) y = ggml_mul(ctx.graph, y, sight.seeing);
    return out.forward(ctx, y);
}

Mlp::Mlp(Weights w, const Settings & s)
    : gate(w / "gate_proj", s.width, s.intermediate, false),
      up(w / "up_proj", s.width, s.intermediate, false),
      down(w / "down_proj", s.intermediate, s.width, false) {}

Tensor Mlp::forward(const Ctx & ctx, Tensor x) const {
    return down.forward(ctx, swiglu_of(ctx, gate.forward(ctx, x), up.forward(ctx, x)));
}

Layer::Layer(Weights w, const Settings & s)
    : norm1(w / "input_layernorm", s.width, s.eps),
      attention(w / "self_attn", s),
      norm2(w / "post_attention_layernorm", s.width, s.eps),
      mlp(w / "mlp", s) {}

Tensor Layer::forward(const Ctx & ctx, Tensor x, const Sight & sight) const {
    x = add(ctx, attention.forward(ctx, norm1.forward(ctx, x), sight), x);
    return add(ctx, mlp.forward(ctx, norm2.forward(ctx, x)), x);
}

CausalLm::CausalLm(Settings given, Weights w)
    : settings(std::move(given)),
      token_embedding((w / "embed_tokens").get("weight", {settings.width, settings.vocab})) {
    for (int i = 0; i < settings.layers; i++) layers.emplace_back(w / "layers" / i, settings);
}

std::vector<Tensor> CausalLm::forward(const Ctx & ctx, Tensor ids, const Sight & sight, int count) const {
    std::vector<Tensor> states = {ggml_get_rows(ctx.graph, token_embedding, ids)};
    for (int i = 0; i < count; i++) states.push_back(layers[i].forward(ctx, states.back(), sight));
    return states;
}

}  // namespace imageforge::causal_lm
