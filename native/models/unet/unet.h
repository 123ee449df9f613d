// The UNet of SD 1.x, 2.x and SDXL (kind "unet"), with LDM tensor names.
#pragma once
#include "core/network.h"
#include "models/unet/encoder.h"

namespace imageforge::unet {

struct OutputBlock {
    ResBlock res;
    std::optional<SpatialTransformer> transformer;
    std::optional<Upsample> upsample;
};

struct Unet {
    Encoder encoder;
    std::vector<OutputBlock> output_blocks;
    GroupNorm norm_out;
    Conv2d conv_out;

    Unet(Settings settings, int64_t out_channels, Weights w);

    /// Cross-attentions of both halves, in the order in which they run.
    CrossAttentions cross_attentions() const;

    /// The encoder's results, with or without a ControlNet's residuals -> [W, H, out_channels, N]
    Tensor decode(const Ctx & ctx, Encoded encoded, Prompt & prompt) const;
};

std::unique_ptr<DenoiserNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::unet
