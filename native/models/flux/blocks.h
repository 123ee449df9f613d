// The blocks of the FLUX transformers. Double blocks (MMDiT, Esser et al. 2024) have separate weights for
// image and text, which attend jointly; single blocks (parallel layers, Dehghani et al. 2023) run over the
// joint sequence. BFL tensor names; checkpoints FLUX.1 and FLUX.2.
#pragma once
#include <optional>

#include "core/config.h"
#include "nn/linear.h"
#include "nn/modulation.h"
#include "nn/rms_norm.h"
#include "nn/rope.h"

namespace imageforge::flux {

/// FLUX.1: a modulator in every block, GELU, biases. FLUX.2: three modulators for all blocks, SwiGLU, no
/// biases.
enum class Generation { Flux1 = 1, Flux2 = 2 };

struct Settings {
    Generation generation;
    int64_t width, heads, double_blocks, single_blocks, mlp_width;
    int64_t in_channels, out_channels;  // of an image token
    int64_t context_width, vector_width;
    bool guidance;
    std::vector<int64_t> axes;  // rotary dimensions of a head by axis of the position ids
    float theta;

    explicit Settings(const Config & config);
    bool flux2() const { return generation == Generation::Flux2; }
    bool biases() const { return !flux2(); }
    bool gated_mlp() const { return flux2(); }
    int64_t head_dim() const { return width / heads; }
    int64_t patch() const { return flux2() ? 1 : 2; }  // FLUX.2's autoencoder has packed the patches already
    int64_t latent_channels() const { return in_channels / (patch() * patch()); }
};

/// Position ids of the joint sequence, I32 [L] by axis; nullptr where all are 0. Turns each axis' share of a
/// head.
struct Positions {
    std::vector<Tensor> by_axis;
    std::vector<Rope> ropes;

    Tensor rotate(const Ctx & ctx, Tensor x) const;  // [d, heads, L, N]
};

/// The inputs of every block besides its tokens.
struct Conditions {
    Tensor vector;                                // [width, N]: time, guidance, pooled text; through SiLU
    std::vector<Modulation> image, text, single;  // FLUX.2: made from it once for all blocks
    Positions positions;
};

/// [d, heads, L, N] each.
struct Heads {
    Tensor query, key, value;
};

struct QkNorm {
    RmsNorm query, key;

    QkNorm(Weights w, int64_t head_dim);
};

struct Mlp {
    Linear in, out;
    bool gated;

    Mlp(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// The image's or the text's half of a double block; sub-layer 0 is attention, 1 the MLP.
struct Stream {
    std::optional<Modulator> modulator;
    Linear qkv;
    QkNorm norm;
    Linear proj;
    Mlp mlp;
    int64_t heads;

    /// `name` is "img" or "txt".
    Stream(Weights block, const std::string & name, const Settings & settings);

    std::vector<Modulation> modulations(const Ctx & ctx, Tensor vector,
                                        const std::vector<Modulation> & shared) const;
    Heads project(const Ctx & ctx, Tensor x, const std::vector<Modulation> & modulations) const;
    Tensor finish(const Ctx & ctx, Tensor x, Tensor attended,
                  const std::vector<Modulation> & modulations) const;
};

/// [width, L, N] each.
struct Tokens {
    Tensor image, text;
};

struct DoubleBlock {
    Stream image, text;

    DoubleBlock(Weights w, const Settings & settings);
    Tokens forward(const Ctx & ctx, Tokens x, const Conditions & conditions) const;
};

/// Attention and MLP in parallel, with one fused linear layer before and one after both.
struct SingleBlock {
    std::optional<Modulator> modulator;
    Linear in, out;
    QkNorm norm;
    int64_t width, heads, mlp_width;
    bool gated_mlp;

    SingleBlock(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x, const Conditions & conditions) const;
};

}  // namespace imageforge::flux
