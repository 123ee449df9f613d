// ControlNet for the UNets of SD 1.x, 2.x and SDXL (kind "controlnet"), with the original tensor names.
// Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models", arXiv 2302.05543.
#pragma once
#include "core/network.h"
#include "models/unet/encoder.h"

namespace imageforge::controlnet {

/// Pixels of the picture per latent cell, along each side.
constexpr int64_t picture_factor = 8;

/// Eight convolutions from the picture to the encoder's first feature map; three of them halve its sides.
struct HintBlock {
    std::vector<Conv2d> convolutions;

    /// `channels`: of the four sizes, full size first.
    HintBlock(Weights w, const std::vector<int64_t> & channels, int64_t out);
    /// [8 W, 8 H, 3, 1] in [0, 1] -> [W, H, out, 1]
    Tensor forward(const Ctx & ctx, Tensor picture) const;
};

/// A trained copy of the UNet's encoder that also takes the picture. Zero convolutions (1 x 1) lead out of
/// it.
struct ControlNet {
    unet::Encoder encoder;
    HintBlock hint;
    std::vector<Conv2d> zero_convs;  // one for each skip connection; initialised to zero for training
    Conv2d middle_out;

    ControlNet(const Config & config, Weights w);

    /// As unet::Encoder::forward, with `seen`, the hint block's result for each item of the batch. Returns
    /// one residual for each skip connection and one for the middle block.
    std::vector<Tensor> forward(const Ctx & ctx, Tensor x, Tensor timestep, Tensor label,
                                unet::Prompt & prompt, Tensor seen) const;
};

std::unique_ptr<ControlNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::controlnet
