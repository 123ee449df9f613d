// CLIP's text encoder (kind "clip"), with Hugging Face tensor names; OpenCLIP's differs in activation and
// projection. Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision".
#pragma once
#include <optional>

#include "core/network.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace imageforge::clip {

enum class Activation { QuickGelu, Gelu };

struct Settings {
    int64_t width, layers, heads, intermediate, vocab, positions;
    Activation activation;
    int64_t end_token;   // the first one marks the pooled state
    int64_t projection;  // width of the projected pooled state, 0 without one
    bool projection_transposed;

    explicit Settings(const Config & config);
};

struct SelfAttention {
    Linear query, key, value, out;
    int64_t heads;

    SelfAttention(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;  // [width, tokens, 1], causal
};

struct Mlp {
    Linear in, out;
    Activation activation;

    Mlp(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct Layer {
    LayerNorm norm1;
    SelfAttention attention;
    LayerNorm norm2;
    Mlp mlp;

    Layer(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// Hugging Face stores the projection as [projection, width], OpenCLIP its transpose (PyTorch order).
struct TextProjection {
    Tensor weight;
    bool transposed;

    TextProjection(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct TextEncoder {
    Settings settings;
    Tensor token_embedding, position_embedding;  // [width, vocab], [width, positions]
    std::vector<Layer> layers;
    LayerNorm final_norm;
    std::optional<TextProjection> projection;

    TextEncoder(Settings settings, Weights w);

    /// Token ids I32 [tokens] -> their embeddings [width, tokens].
    Tensor embed(const Ctx & ctx, Tensor ids) const;

    /// Embeddings and positions I32 [tokens] -> the states before the first layer and after each layer,
    /// [width, tokens, 1], without the final norm.
    std::vector<Tensor> forward(const Ctx & ctx, Tensor vectors, Tensor places) const;
};

std::unique_ptr<TextEncoderNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::clip
