#include "models/autoencoder/autoencoder.h"

#include "core/error.h"
#include "nn/attention.h"
#include "nn/ops.h"

namespace imageforge::autoencoder {

Settings::Settings(const Config & config)
    : channels(config.integers("channels", 1)),
      encoder_channels(config.has("encoderChannels") ? config.integers("encoderChannels", 1) : channels),
      res_blocks(config.integer("resBlocks", 1, 16)),
      latent_channels(config.integer("latentChannels", 1)),
      scale(static_cast<float>(config.number("scale"))),
      shift(static_cast<float>(config.number("shift"))),
      groups(static_cast<int>(config.integer("normGroups", 1))),
      quant_conv(config.flag("quantConv")),
      patchify(config.flag_or("patchify", false)) {
    config.check_all_read("autoencoder");
    if (!(scale != 0)) fail(ErrorCode::InvalidArgument, "autoencoder: scale is 0");
    if (encoder_channels.size() != channels.size())
        fail(ErrorCode::InvalidArgument, "autoencoder: the encoder has %zu levels, the decoder %zu",
             encoder_channels.size(), channels.size());
    for (const auto & half : {channels, encoder_channels}) {
        for (int64_t width : half) {
            if (width % groups != 0)
                fail(ErrorCode::InvalidArgument, "autoencoder: %lld channels don't divide into %d groups",
                     static_cast<long long>(width), groups);
        }
    }
}

static constexpr float norm_eps = 1e-6f;

ResBlock::ResBlock(Weights w, int64_t in, int64_t out, int groups)
    : norm1(w / "norm1", in, groups, norm_eps),
      conv1(w / "conv1", in, out),
      norm2(w / "norm2", out, groups, norm_eps),
      conv2(w / "conv2", out, out) {
    if (in != out) skip.emplace(w / "nin_shortcut", in, out, Conv2d::pointwise());
}

Tensor ResBlock::forward(const Ctx & ctx, Tensor x) const {
    // x may be overwritten once the skip has read it. At full resolution it is the largest tensor.
    Tensor past = skip ? skip->forward(ctx, x) : x;
    Tensor h = skip ? norm1.forward_silu_over(ctx, x, past) : norm1.forward_silu(ctx, x);
    h = conv1.forward(ctx, h);
    h = conv2.forward(ctx, norm2.forward_silu_over(ctx, h));
    return add(ctx, past, h);
}

Attention::Attention(Weights w, int64_t channels, int groups)
    : norm(w / "norm", channels, groups, norm_eps),
      query(w / "q", channels, channels),
      key(w / "k", channels, channels),
      value(w / "v", channels, channels),
      out(w / "proj_out", channels, channels) {}

Tensor Attention::forward(const Ctx & ctx, Tensor x) const {
    Tensor h = to_tokens(ctx, norm.forward(ctx, x));
    Tensor q = split_heads(ctx, query.forward(ctx, h), 1);
    Tensor k = split_heads(ctx, key.forward(ctx, h), 1);
    Tensor v = split_heads(ctx, value.forward(ctx, h), 1);
    h = out.forward(ctx, attention(ctx, q, k, v));
    return add(ctx, to_image(ctx, h, x->ne[0], x->ne[1]), x);
}

Middle::Middle(Weights w, int64_t channels, int groups)
    : in(w / "block_1", channels, channels, groups),
      attention(w / "attn_1", channels, groups),
      out(w / "block_2", channels, channels, groups) {}

Tensor Middle::forward(const Ctx & ctx, Tensor x) const {
    return out.forward(ctx, attention.forward(ctx, in.forward(ctx, x)));
}

Tensor Level::forward(const Ctx & ctx, Tensor x) const {
    for (const ResBlock & block : blocks) x = block.forward(ctx, x);
    return resize ? resize->forward(ctx, x) : x;
}

static std::vector<Level> encoder_levels(Weights w, const Settings & s) {
    std::vector<Level> levels(s.encoder_channels.size());
    int64_t width = s.encoder_channels[0];
    for (size_t i = 0; i < levels.size(); i++) {
        const Weights level = w / "down" / static_cast<int>(i);
        for (int j = 0; j < s.res_blocks; j++) {
            levels[i].blocks.emplace_back(level / "block" / j, width, s.encoder_channels[i], s.groups);
            width = s.encoder_channels[i];
        }
        if (i + 1 == levels.size()) break;
        Conv2d::Options half;
        half.stride = 2;
        half.pad_before = 0;
        levels[i].resize.emplace(level / "downsample" / "conv", width, width, half);
    }
    return levels;
}

Encoder::Encoder(Weights w, const Settings & s)
    : conv_in(w / "conv_in", 3, s.encoder_channels[0]),
      levels(encoder_levels(w, s)),
      middle(w / "mid", s.encoder_channels.back(), s.groups),
      norm_out(w / "norm_out", s.encoder_channels.back(), s.groups, norm_eps),
      conv_out(w / "conv_out", s.encoder_channels.back(), 2 * s.latent_channels) {}

Tensor Encoder::forward(const Ctx & ctx, Tensor x) const { return forward_coarse(ctx, forward_fine(ctx, x)); }

Tensor Encoder::forward_fine(const Ctx & ctx, Tensor x) const {
    Tensor h = conv_in.forward(ctx, x);
    for (size_t i = 0; i + 1 < levels.size(); i++) h = levels[i].forward(ctx, h);
    return h;
}

Tensor Encoder::forward_coarse(const Ctx & ctx, Tensor h) const {
    h = middle.forward(ctx, levels.back().forward(ctx, h));
    return conv_out.forward(ctx, norm_out.forward_silu_over(ctx, h));
}

int64_t Encoder::halo() const {
    int64_t pixels = 0;
    for (size_t i = levels.size() - 1; i-- > 0;) {
        pixels = 2 * pixels + 1;                                      // the convolution that halves
        pixels += 2 * static_cast<int64_t>(levels[i].blocks.size());  // two convolutions a block
    }
    pixels += 1;  // conv_in
    const int64_t cell = int64_t{1} << (levels.size() - 1);
    return (pixels + cell - 1) / cell;
}

/// Runs from the smallest resolution up, while the published names count from full resolution.
static std::vector<Level> decoder_levels(Weights w, const Settings & s) {
    std::vector<Level> levels;
    int64_t width = s.channels.back();
    for (int i = static_cast<int>(s.channels.size()) - 1; i >= 0; i--) {
        const Weights level = w / "up" / i;
        levels.emplace_back();
        for (int j = 0; j <= s.res_blocks; j++) {
            levels.back().blocks.emplace_back(level / "block" / j, width, s.channels[i], s.groups);
            width = s.channels[i];
        }
        if (i == 0) break;
        Conv2d::Options twice;
        twice.upsample2 = true;
        levels.back().resize.emplace(level / "upsample" / "conv", width, width, twice);
    }
    return levels;
}

Decoder::Decoder(Weights w, const Settings & s)
    : conv_in(w / "conv_in", s.latent_channels, s.channels.back()),
      middle(w / "mid", s.channels.back(), s.groups),
      levels(decoder_levels(w, s)),
      norm_out(w / "norm_out", s.channels[0], s.groups, norm_eps),
      conv_out(w / "conv_out", s.channels[0], 3) {}

Tensor Decoder::forward(const Ctx & ctx, Tensor z) const {
    return forward_fine(ctx, forward_coarse(ctx, z, 0), 0);
}

Tensor Decoder::forward_coarse(const Ctx & ctx, Tensor z, size_t last) const {
    Tensor h = middle.forward(ctx, conv_in.forward(ctx, z));
    for (size_t i = 0; i < last; i++) h = levels[i].forward(ctx, h);
    for (const ResBlock & block : levels[last].blocks) h = block.forward(ctx, h);
    return h;
}

Tensor Decoder::forward_fine(const Ctx & ctx, Tensor h, size_t last) const {
    if (levels[last].resize) h = levels[last].resize->forward(ctx, h);
    for (size_t i = last + 1; i < levels.size(); i++) h = levels[i].forward(ctx, h);
    return conv_out.forward(ctx, norm_out.forward_silu_over(ctx, h));
}

int64_t Decoder::halo(size_t last) const {
    int64_t cells = 1;  // conv_out
    for (size_t i = levels.size() - 1; i > last; i--) {
        cells += 2 * static_cast<int64_t>(levels[i].blocks.size());  // two convolutions a block
        cells = (cells + 2) / 2;  // half as many before the upsampling, and the convolution after it
    }
    return cells;
}

PatchNorm::PatchNorm(Weights w, int64_t channels)
    : mean(w.get("running_mean", {channels})), variance(w.get("running_var", {channels})) {}

static Tensor deviation(const Ctx & ctx, Tensor variance) {
    Tensor channel = ggml_reshape_3d(ctx.graph, variance, 1, 1, variance->ne[0]);
    return ggml_sqrt(ctx.graph, ggml_scale_bias(ctx.graph, channel, 1, 1e-4f));
}

Tensor PatchNorm::pack(const Ctx & ctx, Tensor z) const {
    ggml_context * g = ctx.graph;
    const int64_t w = z->ne[0] / 2, h = z->ne[1] / 2, c = z->ne[2];
    // [dx, w, dy h c] -> [w, dx dy, h, c] -> [w, h, dx dy, c]
    Tensor x = ggml_cont(g, ggml_permute(g, ggml_reshape_3d(g, z, 2, w, 2 * h * c), 1, 0, 2, 3));
    x = ggml_cont(g, ggml_permute(g, ggml_reshape_4d(g, x, w, 4, h, c), 0, 2, 1, 3));
    x = ggml_reshape_3d(g, x, w, h, 4 * c);
    x = ggml_sub(g, x, ggml_reshape_3d(g, mean, 1, 1, 4 * c));
    return ggml_div(g, x, deviation(ctx, variance));
}

Tensor PatchNorm::unpack(const Ctx & ctx, Tensor x) const {
    ggml_context * g = ctx.graph;
    const int64_t w = x->ne[0], h = x->ne[1], c = x->ne[2] / 4;
    x = ggml_mul(g, x, deviation(ctx, variance));
    x = ggml_add(g, x, ggml_reshape_3d(g, mean, 1, 1, 4 * c));
    x = ggml_cont(g, ggml_permute(g, ggml_reshape_4d(g, x, w, h, 4, c), 0, 2, 1, 3));
    x = ggml_cont(g, ggml_permute(g, ggml_reshape_3d(g, x, w, 2, 2 * h * c), 1, 0, 2, 3));
    return ggml_reshape_3d(g, x, 2 * w, 2 * h, c);
}

}  // namespace imageforge::autoencoder
