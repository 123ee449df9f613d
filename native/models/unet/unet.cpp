#include "models/unet/unet.h"

#include "nn/ops.h"

namespace imageforge::unet {

Unet::Unet(Settings settings, int64_t out_channels, Weights w)
    : encoder(std::move(settings), w),
      norm_out(w / "out" / 0, encoder.settings.channels[0], encoder.settings.groups, 1e-5f),
      conv_out(w / "out" / 2, encoder.settings.channels[0], out_channels) {
    const Settings & s = encoder.settings;
    std::vector<int64_t> skips = s.skip_channels();
    int64_t width = s.channels.back();
    int index = 0;
    for (int level = static_cast<int>(s.channels.size()) - 1; level >= 0; level--) {
        for (int i = 0; i <= s.res_blocks; i++, index++) {
            const Weights block = w / "output_blocks" / index;
            const int64_t out = s.channels[level];
            output_blocks.push_back({ResBlock(block / 0, width + skips.back(), out, s.time_width(), s.groups),
                                     make_transformer(block / 1, s, out, s.depth[level]), std::nullopt});
            if (level > 0 && i == s.res_blocks)
                output_blocks.back().upsample.emplace(block / (s.depth[level] ? 2 : 1), out);
            width = out;
            skips.pop_back();
        }
    }
}

CrossAttentions Unet::cross_attentions() const {
    CrossAttentions all = encoder.cross_attentions();
    for (const OutputBlock & block : output_blocks) collect_attentions(all, block.transformer);
    return all;
}

Tensor Unet::decode(const Ctx & ctx, Encoded encoded, Prompt & prompt) const {
    auto & [time, skips, h] = encoded;
    for (const OutputBlock & block : output_blocks) {
        h = block.res.forward(ctx, concat_channels(ctx, h, skips.back()), time);
        skips.pop_back();
        if (block.transformer) h = block.transformer->forward(ctx, h, prompt);
        if (block.upsample) h = block.upsample->forward(ctx, h, skips.back()->ne[0], skips.back()->ne[1]);
    }
    return conv_out.forward(ctx, norm_out.forward_silu(ctx, h));
}

}  // namespace imageforge::unet
