// RRDBNet, the upscaler of ESRGAN and Real-ESRGAN (kind "rrdbnet"), with Real-ESRGAN's tensor names.
// Wang et al. 2018, arXiv 1809.00219; Wang et al. 2021, arXiv 2107.10833.
#pragma once
#include <vector>

#include "core/network.h"
#include "nn/conv2d.h"

namespace imageforge::rrdbnet {

struct Settings {
    int64_t width;      // channels between the blocks
    int64_t growth;     // channels that each convolution of a dense block adds
    int64_t blocks;     // residual-in-residual blocks
    int64_t shuffle;    // pixels per side that are packed into channels before the first convolution
    int64_t doublings;  // upsampling steps at the end; each doubles the size

    explicit Settings(const Config & config);
    /// The result's sides are 2^doublings / shuffle times the input's.
    int64_t grow(int64_t side) const { return (side << doublings) / shuffle; }
};

/// Dense block (Huang et al. 2017): five convolutions, each over the block's input and all results before it.
struct DenseBlock {
    std::vector<Conv2d> convolutions;

    DenseBlock(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// Three dense blocks with a residual around them (RRDB).
struct Block {
    DenseBlock first, second, third;

    Block(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct RrdbNet {
    Settings settings;
    Conv2d conv_first;
    std::vector<Block> blocks;
    Conv2d conv_body;
    std::vector<Conv2d> doublings;
    Conv2d conv_hr, conv_last;

    RrdbNet(Settings settings, Weights w);
    /// [W / shuffle, H / shuffle, 3 shuffle², 1] in [0, 1] -> [W', H', 3, 1], about [0, 1]
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

std::unique_ptr<UpscalerNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::rrdbnet
