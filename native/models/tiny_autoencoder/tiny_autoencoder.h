// The tiny autoencoders TAESD, TAESDXL, TAEF1 and TAEF2 (kind "tiny_autoencoder"), with their author's tensor
// names, in which numbers count the layers of a sequence. They replace the large autoencoders where speed
// matters more, as in previews. Ollin Boer Bohan, github.com/madebyollin/taesd.
#pragma once
#include <optional>
#include <vector>

#include "core/network.h"
#include "models/autoencoder/autoencoder.h"
#include "nn/conv2d.h"
#include "nn/norm.h"

namespace imageforge::tiny_autoencoder {

struct Settings {
    int64_t width, latent_channels;
    bool pooled;    // the blocks at the lowest resolution have a branch with group statistics (TAEF2)
    bool patchify;  // latents come packed and normalised (FLUX.2); "bn" is FLUX.2's own, from the large
                    // autoencoder

    explicit Settings(const Config & config);
    int64_t packed_channels() const { return latent_channels * (patchify ? 4 : 1); }
    int64_t factor() const { return patchify ? 16 : 8; }
};

/// Adds a branch with group statistics before the convolutions (TAEF2).
struct Pool {
    Conv2d expand;
    GroupNorm norm;
    Conv2d reduce;

    Pool(Weights w, int64_t width);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct Block {
    std::optional<Pool> pool;
    Conv2d conv1, conv2, conv3;

    Block(Weights w, int64_t width, bool pooled);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// A change of resolution, then the blocks at the new one.
struct Level {
    std::optional<Conv2d> resize;
    std::vector<Block> blocks;

    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct Encoder {
    Conv2d conv_in;
    std::vector<Level> levels;
    Conv2d conv_out;

    Encoder(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;  // [W, H, 3, N] in [0, 1] -> [w, h, latent_channels, N]
};

struct Decoder {
    Conv2d conv_in;
    std::vector<Level> levels;
    Conv2d conv_out;

    Decoder(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor z) const;  // [w, h, latent_channels, N] -> [W, H, 3, N] in [0, 1]
};

std::unique_ptr<AutoencoderNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::tiny_autoencoder
