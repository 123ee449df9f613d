// Decoder-only language models as text encoders (kind "causal_lm"): Qwen3 and Mistral up to the layers that
// FLUX.2 reads, with Hugging Face tensor names. Neither the last norm nor the language head is there.
#pragma once
#include <optional>

#include "core/network.h"
#include "nn/linear.h"
#include "nn/rms_norm.h"
#include "nn/rope.h"

namespace imageforge::causal_lm {

struct Settings {
    int64_t width, layers, heads, kv_heads, head_dim, intermediate, vocab;
    float theta, eps;
    bool qk_norm;
    bool rope_interleaved;  // pairs are neighbours, as llama.cpp permutes Llama-type weights

    explicit Settings(const Config & config);
    Rope rope() const {
        return {rope_interleaved ? RopePairs::Neighbours : RopePairs::Halves, theta, head_dim};
    }
};

/// The attention mask and the positions of the tokens.
struct Sight {
    Tensor positions;  // I32 [L]
    Tensor mask;       // [L, L], added to the scores
    Tensor seeing;     // [1, L], 0 for tokens that attend to none; nullptr where there are none such
};

/// Grouped-query attention (Ainslie et al. 2023): several query heads share each key head.
struct SelfAttention {
    Linear query, key, value, out;
    std::optional<RmsNorm> query_norm, key_norm;
    int64_t heads, kv_heads;
    Rope rope;

    SelfAttention(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x, const Sight & sight) const;  // [width, L, 1]
};

/// SwiGLU (Shazeer 2020): down(silu(gate x) * up x).
struct Mlp {
    Linear gate, up, down;

    Mlp(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct Layer {
    RmsNorm norm1;
    SelfAttention attention;
    RmsNorm norm2;
    Mlp mlp;

    Layer(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x, const Sight & sight) const;
};

struct CausalLm {
    Settings settings;
    Tensor token_embedding;  // [width, vocab]
    std::vector<Layer> layers;

    CausalLm(Settings settings, Weights w);

    /// Ids I32 [L] -> the states before the first layer and after each of the first `count`, [width, L, 1].
    std::vector<Tensor> forward(const Ctx & ctx, Tensor ids, const Sight & sight, int count) const;
};

std::unique_ptr<TextEncoderNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::causal_lm
