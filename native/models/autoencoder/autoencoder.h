// The autoencoder of SD, SDXL, FLUX.1 and FLUX.2 (kind "autoencoder"), with LDM tensor names.
// Rombach et al. 2022; checkpoints with 4, 16 or 32 latent channels.
#pragma once
#include <optional>

#include "core/network.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace imageforge::autoencoder {

struct Settings {
    std::vector<int64_t> channels;          // of the decoder, by level, full resolution first
    std::vector<int64_t> encoder_channels;  // FLUX.2's small decoder is narrower than its encoder
    int64_t res_blocks, latent_channels;
    float scale, shift;  // latent = (z - shift) * scale
    int groups;
    bool quant_conv;
    bool patchify;  // 2 x 2 patches, normalised with the stored statistics

    explicit Settings(const Config & config);
    int64_t factor() const { return (int64_t{1} << (channels.size() - 1)) * (patchify ? 2 : 1); }
    int64_t packed_channels() const { return latent_channels * (patchify ? 4 : 1); }
};

struct ResBlock {
    GroupNorm norm1;
    Conv2d conv1;
    GroupNorm norm2;
    Conv2d conv2;
    std::optional<Conv2d> skip;  // 1 x 1, only where the channel count changes

    ResBlock(Weights w, int64_t in, int64_t out, int groups);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// Self-attention with one head over all positions.
struct Attention {
    GroupNorm norm;
    Linear query, key, value, out;

    Attention(Weights w, int64_t channels, int groups);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct Middle {
    ResBlock in;
    Attention attention;
    ResBlock out;

    Middle(Weights w, int64_t channels, int groups);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// Residual blocks of one resolution, then the change to the next: half or double size.
struct Level {
    std::vector<ResBlock> blocks;
    std::optional<Conv2d> resize;

    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// The coarse part runs at the latent's resolution: it is cheap and attends to the whole picture. The fine
/// part before it takes most of the memory and has a bounded receptive field, so it can run in tiles.
struct Encoder {
    Conv2d conv_in;
    std::vector<Level> levels;
    Middle middle;
    GroupNorm norm_out;
    Conv2d conv_out;

    Encoder(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;         // [W, H, 3, N] -> [w, h, 2 * latent_channels, N]
    Tensor forward_fine(const Ctx & ctx, Tensor x) const;    // [W, H, 3, N] -> [w, h, channels, N]
    Tensor forward_coarse(const Ctx & ctx, Tensor h) const;  // and on from there
    /// The receptive field of forward_fine: how many cells beyond its own a pixel of the picture affects.
    int64_t halo() const;
};

struct Decoder {
    Conv2d conv_in;
    Middle middle;
    std::vector<Level> levels;
    GroupNorm norm_out;
    Conv2d conv_out;

    Decoder(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor z) const;  // [w, h, latent_channels, N] -> [W, H, 3, N]
    /// forward() in two parts: up to the blocks of level `last`, and on from its change of resolution.
    Tensor forward_coarse(const Ctx & ctx, Tensor z, size_t last) const;
    Tensor forward_fine(const Ctx & ctx, Tensor h, size_t last) const;
    /// The receptive field of forward_fine: cells of level `last` beyond a pixel's own that affect it.
    int64_t halo(size_t last) const;
};

/// FLUX.2's normalisation of 2 x 2 patches: channel = c * 4 + dy * 2 + dx.
struct PatchNorm {
    Tensor mean, variance;  // [4 * latent_channels]

    PatchNorm(Weights w, int64_t channels);
    Tensor pack(const Ctx & ctx, Tensor z) const;    // [w, h, c, 1] -> [w / 2, h / 2, 4 c, 1]
    Tensor unpack(const Ctx & ctx, Tensor x) const;  // and back
};

std::unique_ptr<AutoencoderNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::autoencoder
