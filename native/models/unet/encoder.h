// The encoder half of the UNet of SD 1.x, 2.x and SDXL, down to the middle block. A ControlNet is a copy of
// it. LDM tensor names.
#pragma once
#include "core/config.h"
#include "models/unet/blocks.h"

namespace imageforge::unet {

struct Settings {
    int64_t in_channels, model_channels;
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
    /// Channels of each skip connection, in order.
    std::vector<int64_t> skip_channels() const;
};

/// nullopt where the depth is 0.
std::optional<SpatialTransformer> make_transformer(Weights w, const Settings & settings, int64_t width,
                                                   int64_t depth);

struct InputBlock {
    std::optional<ResBlock> res;
    std::optional<SpatialTransformer> transformer;
    std::optional<Conv2d> downsample;  // the only layer of its block
};

/// Linear, SiLU, Linear: embeds the timestep's sinusoids, and SDXL's vector.
struct Embedding {
    Linear in, out;

    Embedding(Weights w, int64_t width, int64_t time_width);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

/// The encoder's results, which the decoder half takes.
struct Encoded {
    Tensor time;                // [time_width, N], through SiLU
    std::vector<Tensor> skips;  // one for each block, in order
    Tensor middle;
};

using CrossAttentions = std::vector<const CrossAttention *>;
/// Appends the cross-attentions of a transformer, where the block has one.
void collect_attentions(CrossAttentions & all, const std::optional<SpatialTransformer> & transformer);

struct Encoder {
    Settings settings;
    Embedding time;
    std::optional<Embedding> label;
    Conv2d conv_in;
    std::vector<InputBlock> input_blocks;  // from input_blocks.1 on
    ResBlock middle_in;
    std::optional<SpatialTransformer> middle;
    ResBlock middle_out;

    Encoder(Settings settings, Weights w);

    /// Its cross-attentions, in the order in which they run.
    CrossAttentions cross_attentions() const;

    /// x [W, H, in_channels, N], timestep [N], label [time_width, N] or nullptr. A ControlNet's hint [W, H,
    /// channels, N] is added to the first convolution's result.
    Encoded forward(const Ctx & ctx, Tensor x, Tensor timestep, Tensor label, Prompt & prompt,
                    Tensor seen = nullptr) const;
};

}  // namespace imageforge::unet
