// The UNet of SD 1.x, 2.x and SDXL (kind "unet"), with LDM tensor names.
#pragma once
#include "core/network.h"
#include "models/unet/blocks.h"

namespace imageforge::unet {

struct Settings {
    int64_t in_channels, out_channels, model_channels;
    std::vector<int64_t> channels;  // by level, full resolution first
    int64_t res_blocks;
    std::vector<int64_t> depth;  // transformer blocks by level, 0 = no attention
    int64_t middle_depth, context_width;
    int64_t heads, head_dim;  // one of the two is 0
    int groups;
    int64_t vector_width;

    explicit Settings(const Config & config);
    int64_t heads_at(int64_t width) const { return heads ? heads : width / head_dim; }
    int64_t time_width() const { return 4 * model_channels; }
};

struct InputBlock {
    std::optional<ResBlock> res;
    std::optional<SpatialTransformer> transformer;
    std::optional<Conv2d> downsample;  // alone in its block
};

struct OutputBlock {
    ResBlock res;
    std::optional<SpatialTransformer> transformer;
    std::optional<Upsample> upsample;
};

/// Linear, SiLU, Linear: of the timestep's sinusoids, and of SDXL's vector.
struct Embedding {
    Linear in, out;

    Embedding(Weights w, int64_t width, int64_t time_width);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct Unet {
    Settings settings;
    Embedding time;
    std::optional<Embedding> label;
    Conv2d conv_in;
    std::vector<InputBlock> input_blocks;  // from input_blocks.1 on
    ResBlock middle_in;
    std::optional<SpatialTransformer> middle;
    ResBlock middle_out;
    std::vector<OutputBlock> output_blocks;
    GroupNorm norm_out;
    Conv2d conv_out;

    Unet(Settings settings, Weights w);

    /// All cross-attentions, in the order in which they run.
    std::vector<const CrossAttention *> cross_attentions() const;

    /// x [W, H, in_channels, N], timestep [N], label [time_width, N] or nullptr -> [W, H, out_channels, N]
    Tensor forward(const Ctx & ctx, Tensor x, Tensor timestep, Tensor label, Prompt & prompt) const;
};

std::unique_ptr<DenoiserNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::unet
