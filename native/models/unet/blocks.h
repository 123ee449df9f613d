// The parts of the UNet: residual blocks and spatial transformers, with the published tensor names.
// Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models"; checkpoints
// SD 1.x, 2.x, SDXL.
#pragma once
#include <optional>
#include <vector>

#include "nn/attention.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace imageforge::unet {

struct ResBlock {
    GroupNorm norm_in;
    Conv2d conv_in;
    Linear time;
    GroupNorm norm_out;
    Conv2d conv_out;
    std::optional<Conv2d> skip;  // 1 x 1, only where the channel count changes

    ResBlock(Weights w, int64_t in, int64_t out, int64_t time_width, int groups);

    /// x [W, H, in, N], t [time_width, N], through SiLU already -> [W, H, out, N]
    Tensor forward(const Ctx & ctx, Tensor x, Tensor t) const;
};

/// The prompt's keys and values for one cross-attention, [width, tokens, N] each.
struct PromptState {
    Tensor keys, values;
};

/// Hands the prompt's keys and values to the cross-attentions, in the order in which they run.
class Prompt {
public:
    explicit Prompt(std::vector<PromptState> states) : states_(std::move(states)) {}
    const PromptState & next() { return states_.at(next_++); }

private:
    std::vector<PromptState> states_;
    size_t next_ = 0;
};

struct SelfAttention {
    Linear query, key, value, out;
    int64_t heads;

    SelfAttention(Weights w, int64_t width, int64_t heads);
    Tensor forward(const Ctx & ctx, Tensor x) const;  // [width, L, N]
};

struct CrossAttention {
    Linear query, key, value, out;
    int64_t width, heads;

    CrossAttention(Weights w, int64_t width, int64_t context_width, int64_t heads);
    PromptState read(const Ctx & ctx, Tensor context) const;  // context [context_width, tokens, N]
    Tensor forward(const Ctx & ctx, Tensor x, const PromptState & prompt) const;
};

struct FeedForward {
    Linear in, out;

    FeedForward(Weights w, int64_t width);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct TransformerBlock {
    LayerNorm norm1;
    SelfAttention self;
    LayerNorm norm2;
    CrossAttention cross;
    LayerNorm norm3;
    FeedForward feed_forward;

    TransformerBlock(Weights w, int64_t width, int64_t context_width, int64_t heads);
    Tensor forward(const Ctx & ctx, Tensor x, const PromptState & prompt) const;
};

struct SpatialTransformer {
    GroupNorm norm;
    Linear proj_in;  // a 1 x 1 convolution in SD 1.x
    std::vector<TransformerBlock> blocks;
    Linear proj_out;

    SpatialTransformer(Weights w, int64_t channels, int64_t context_width, int64_t heads, int64_t depth,
                       int groups);
    Tensor forward(const Ctx & ctx, Tensor x, Prompt & prompt) const;  // [W, H, channels, N]
};

struct Upsample {
    Conv2d conv;

    Upsample(Weights w, int64_t channels);
    /// Nearest-neighbour upsampling by 2, cropped to the given size (latents of odd size).
    Tensor forward(const Ctx & ctx, Tensor x, int64_t width, int64_t height) const;
};

}  // namespace imageforge::unet
