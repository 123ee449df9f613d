// The transformers of FLUX.1 and FLUX.2 (kind "flux"): a rectified flow over image tokens, text tokens and,
// where there are any, tokens of reference images. Black Forest Labs; checkpoints schnell, dev, Kontext,
// klein.
#pragma once
#include "core/network.h"
#include "models/flux/blocks.h"

namespace imageforge::flux {

/// Linear, SiLU, Linear.
struct Embedding {
    Linear in, out;

    Embedding(Weights w, int64_t in_width, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// The modulators that all blocks of FLUX.2 share.
struct SharedModulators {
    Modulator image, text, single;

    SharedModulators(Weights w, const Settings & settings);
};

struct Flux {
    Settings settings;
    Linear image_in, text_in;
    Embedding time;
    std::optional<Embedding> guidance, vector;
    std::optional<SharedModulators> shared;
    std::vector<DoubleBlock> double_blocks;
    std::vector<SingleBlock> single_blocks;
    Modulator final_modulator;
    Linear final_linear;

    Flux(Settings settings, Weights w);

    /// The part of the modulation vector that is the same in all steps, [width, N], or nullptr. Guidance [N],
    /// times 1000, and pooled text [vector_width, N]; nullptr for what the network doesn't take.
    Tensor constant_vector(const Ctx & ctx, Tensor guidance_scale, Tensor pooled) const;

    /// image [in_channels, L, N] with references behind the `length` tokens that are predicted, text
    /// [width, tokens, N] as text_in gives it, time [N] times 1000 -> [out_channels, length, N]
    Tensor forward(const Ctx & ctx, Tensor image, Tensor text, Tensor time_value, Tensor constant,
                   Positions positions, int64_t length) const;
};

std::unique_ptr<DenoiserNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::flux
