#include "models/unet/unet.h"

#include "core/error.h"
#include "nn/ops.h"

namespace imageforge::unet {

Settings::Settings(const Config & config)
    : in_channels(config.integer("inChannels", 1)),
      out_channels(config.integer("outChannels", 1)),
      model_channels(config.integer("modelChannels", 2)),
      channels(config.integers("channels", 1)),
      res_blocks(config.integer("resBlocks", 1, 16)),
      depth(config.integers("depth", 0, 64)),
      middle_depth(config.integer("middleDepth", 0, 64)),
      context_width(config.integer("contextWidth", 1)),
      heads(config.integer_or("heads", 0)),
      head_dim(config.integer_or("headDim", 0)),
      groups(static_cast<int>(config.integer("normGroups", 1))),
      vector_width(config.integer("vectorWidth")) {
    config.flag("linearProjection");  // how the file stores them; they compute the same
    config.check_all_read("unet");
    if (depth.size() != channels.size()) {
        fail(ErrorCode::InvalidArgument, "unet: depth has %zu levels, channels has %zu", depth.size(),
             channels.size());
    }
    if ((heads == 0) == (head_dim == 0))
        fail(ErrorCode::InvalidArgument, "unet: give either heads or headDim");
    if (model_channels % 2 != 0) fail(ErrorCode::InvalidArgument, "unet: modelChannels must be even");
    for (int64_t width : channels) {
        if (width % groups != 0 || width % (heads ? heads : head_dim) != 0) {
            fail(ErrorCode::InvalidArgument, "unet: %lld channels don't divide into %d groups and %lld heads",
                 static_cast<long long>(width), groups,
                 static_cast<long long>(heads ? heads : width / head_dim));
        }
    }
}

static std::optional<SpatialTransformer> transformer(Weights w, const Settings & s, int64_t width,
                                                     int64_t depth) {
    if (depth == 0) return std::nullopt;
    return SpatialTransformer(w, width, s.context_width, s.heads_at(width), depth, s.groups);
}

Embedding::Embedding(Weights w, int64_t width, int64_t time_width)
    : in(w / 0, width, time_width), out(w / 2, time_width, time_width) {}

Tensor Embedding::forward(const Ctx & ctx, Tensor x) const {
    return out.forward(ctx, silu(ctx, in.forward(ctx, x)));
}

Unet::Unet(Settings given, Weights w)
    : settings(std::move(given)),
      time(w / "time_embed", settings.model_channels, settings.time_width()),
      conv_in(w / "input_blocks" / 0 / 0, settings.in_channels, settings.channels[0]),
      middle_in(w / "middle_block" / 0, settings.channels.back(), settings.channels.back(),
                settings.time_width(), settings.groups),
      middle(transformer(w / "middle_block" / 1, settings, settings.channels.back(), settings.middle_depth)),
      middle_out(w / "middle_block" / (settings.middle_depth ? 2 : 1), settings.channels.back(),
                 settings.channels.back(), settings.time_width(), settings.groups),
      norm_out(w / "out" / 0, settings.channels[0], settings.groups, 1e-5f),
      conv_out(w / "out" / 2, settings.channels[0], settings.out_channels) {
    const Settings & s = settings;
    if (s.vector_width) label.emplace(w / "label_emb" / 0, s.vector_width, s.time_width());

    const int levels = static_cast<int>(s.channels.size());
    std::vector<int64_t> skips = {s.channels[0]};
    int64_t width = s.channels[0];
    int index = 1;
    for (int level = 0; level < levels; level++) {
        for (int i = 0; i < s.res_blocks; i++, index++) {
            const Weights block = w / "input_blocks" / index;
            input_blocks.push_back({ResBlock(block / 0, width, s.channels[level], s.time_width(), s.groups),
                                    transformer(block / 1, s, s.channels[level], s.depth[level]),
                                    std::nullopt});
            width = s.channels[level];
            skips.push_back(width);
        }
        if (level + 1 == levels) break;
        Conv2d::Options half;
        half.stride = 2;
        input_blocks.push_back(
            {std::nullopt, std::nullopt, Conv2d(w / "input_blocks" / index / 0 / "op", width, width, half)});
        index++;
        skips.push_back(width);
    }

    index = 0;
    for (int level = levels - 1; level >= 0; level--) {
        for (int i = 0; i <= s.res_blocks; i++, index++) {
            const Weights block = w / "output_blocks" / index;
            const int64_t out = s.channels[level];
            output_blocks.push_back({ResBlock(block / 0, width + skips.back(), out, s.time_width(), s.groups),
                                     transformer(block / 1, s, out, s.depth[level]), std::nullopt});
            if (level > 0 && i == s.res_blocks)
                output_blocks.back().upsample.emplace(block / (s.depth[level] ? 2 : 1), out);
            width = out;
            skips.pop_back();
        }
    }
}

std::vector<const CrossAttention *> Unet::cross_attentions() const {
    std::vector<const CrossAttention *> all;
    auto collect = [&](const std::optional<SpatialTransformer> & transformer) {
        if (!transformer) return;
        for (const TransformerBlock & block : transformer->blocks) all.push_back(&block.cross);
    };
    for (const InputBlock & block : input_blocks) collect(block.transformer);
    collect(middle);
    for (const OutputBlock & block : output_blocks) collect(block.transformer);
    return all;
}

Tensor Unet::forward(const Ctx & ctx, Tensor x, Tensor timestep, Tensor label, Prompt & prompt) const {
    Tensor t = time.forward(ctx, timestep_embedding(ctx, timestep, settings.model_channels));
    if (label) t = add(ctx, t, label);
    t = silu(ctx, t);

    Tensor h = conv_in.forward(ctx, x);
    std::vector<Tensor> skips = {h};
    for (const InputBlock & block : input_blocks) {
        if (block.downsample) h = block.downsample->forward(ctx, h);
        if (block.res) h = block.res->forward(ctx, h, t);
        if (block.transformer) h = block.transformer->forward(ctx, h, prompt);
        skips.push_back(h);
    }

    h = middle_in.forward(ctx, h, t);
    if (middle) h = middle->forward(ctx, h, prompt);
    h = middle_out.forward(ctx, h, t);

    for (const OutputBlock & block : output_blocks) {
        h = block.res.forward(ctx, concat_channels(ctx, h, skips.back()), t);
        skips.pop_back();
        if (block.transformer) h = block.transformer->forward(ctx, h, prompt);
        if (block.upsample) h = block.upsample->forward(ctx, h, skips.back()->ne[0], skips.back()->ne[1]);
    }
    return conv_out.forward(ctx, norm_out.forward_silu(ctx, h));
}

}  // namespace imageforge::unet
