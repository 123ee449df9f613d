#include "models/unet/encoder.h"

#include "core/error.h"
#include "nn/ops.h"

namespace imageforge::unet {

Settings::Settings(const Config & config)
    : in_channels(config.integer("inChannels", 1)),
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
    config.flag("linearProjection");  // only says how the file stores them
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

std::vector<int64_t> Settings::skip_channels() const {
    std::vector<int64_t> skips = {channels[0]};
    for (size_t level = 0; level < channels.size(); level++) {
        const bool last = level + 1 == channels.size();
        skips.insert(skips.end(), res_blocks + (last ? 0 : 1), channels[level]);
    }
    return skips;
}

std::optional<SpatialTransformer> make_transformer(Weights w, const Settings & s, int64_t width,
                                                   int64_t depth) {
    if (depth == 0) return std::nullopt;
    return SpatialTransformer(w, width, s.context_width, s.heads_at(width), depth, s.groups);
}

Embedding::Embedding(Weights w, int64_t width, int64_t time_width)
    : in(w / 0, width, time_width), out(w / 2, time_width, time_width) {}

Tensor Embedding::forward(const Ctx & ctx, Tensor x) const {
    return out.forward(ctx, silu(ctx, in.forward(ctx, x)));
}

void collect_attentions(CrossAttentions & all, const std::optional<SpatialTransformer> & transformer) {
    if (!transformer) return;
    for (const TransformerBlock & block : transformer->blocks) all.push_back(&block.cross);
}

Encoder::Encoder(Settings given, Weights w)
    : settings(std::move(given)),
      time(w / "time_embed", settings.model_channels, settings.time_width()),
      conv_in(w / "input_blocks" / 0 / 0, settings.in_channels, settings.channels[0]),
      middle_in(w / "middle_block" / 0, settings.channels.back(), settings.channels.back(),
                settings.time_width(), settings.groups),
      middle(make_transformer(w / "middle_block" / 1, settings, settings.channels.back(),
                              settings.middle_depth)),
      middle_out(w / "middle_block" / (settings.middle_depth ? 2 : 1), settings.channels.back(),
                 settings.channels.back(), settings.time_width(), settings.groups) {
    const Settings & s = settings;
    if (s.vector_width) label.emplace(w / "label_emb" / 0, s.vector_width, s.time_width());

    const int levels = static_cast<int>(s.channels.size());
    int64_t width = s.channels[0];
    int index = 1;
    for (int level = 0; level < levels; level++) {
        for (int i = 0; i < s.res_blocks; i++, index++) {
            const Weights block = w / "input_blocks" / index;
            input_blocks.push_back({ResBlock(block / 0, width, s.channels[level], s.time_width(), s.groups),
                                    make_transformer(block / 1, s, s.channels[level], s.depth[level]),
                                    std::nullopt});
            width = s.channels[level];
        }
        if (level + 1 == levels) break;
        Conv2d::Options half;
        half.stride = 2;
        input_blocks.push_back(
            {std::nullopt, std::nullopt, Conv2d(w / "input_blocks" / index / 0 / "op", width, width, half)});
        index++;
    }
}

CrossAttentions Encoder::cross_attentions() const {
    CrossAttentions all;
    for (const InputBlock & block : input_blocks) collect_attentions(all, block.transformer);
    collect_attentions(all, middle);
    return all;
}

Encoded Encoder::forward(const Ctx & ctx, Tensor x, Tensor timestep, Tensor label_states, Prompt & prompt,
                         Tensor seen) const {
    Tensor t = time.forward(ctx, timestep_embedding(ctx, timestep, settings.model_channels));
    if (label_states) t = add(ctx, t, label_states);
    t = silu(ctx, t);

    Tensor h = conv_in.forward(ctx, x);
    if (seen) h = add(ctx, h, seen);
    std::vector<Tensor> skips = {h};
    for (const InputBlock & block : input_blocks) {
        if (block.downsample) h = block.downsample->forward(ctx, h);
        if (block.res) h = block.res->forward(ctx, h, t);
        if (block.transformer) h = block.transformer->forward(ctx, h, prompt);
        skips.push_back(h);
    }

    h = middle_in.forward(ctx, h, t);
    if (middle) h = middle->forward(ctx, h, prompt);
    return {t, std::move(skips), middle_out.forward(ctx, h, t)};
}

}  // namespace imageforge::unet
