#include "models/controlnet/controlnet.h"

#include "core/error.h"
#include "nn/ops.h"

namespace imageforge::controlnet {

HintBlock::HintBlock(Weights w, const std::vector<int64_t> & channels, int64_t out) {
    if (channels.size() != 4)
        fail(ErrorCode::InvalidArgument, "controlnet: hintChannels has %zu sizes, expected 4",
             channels.size());
    const auto add_layer = [&](int64_t from, int64_t to, int stride) {
        Conv2d::Options options;
        options.stride = stride;
        const int place = 2 * static_cast<int>(convolutions.size());  // a SiLU stands between two
        convolutions.emplace_back(w / place, from, to, options);
    };
    add_layer(3, channels[0], 1);
    for (size_t i = 0; i < 3; i++) {
        add_layer(channels[i], channels[i], 1);
        add_layer(channels[i], channels[i + 1], 2);
    }
    add_layer(channels[3], out, 1);
}

Tensor HintBlock::forward(const Ctx & ctx, Tensor picture) const {
    Tensor h = convolutions[0].forward(ctx, picture);
    for (size_t i = 1; i < convolutions.size(); i++) h = convolutions[i].forward(ctx, silu(ctx, h));
    return h;
}

ControlNet::ControlNet(const Config & config, Weights w)
    : encoder(unet::Settings(config), w),
      hint(w / "input_hint_block", config.integers("hintChannels", 1), encoder.settings.channels[0]),
      middle_out(w / "middle_block_out" / 0, encoder.settings.channels.back(),
                 encoder.settings.channels.back(), Conv2d::pointwise()) {
    for (const int64_t width : encoder.settings.skip_channels()) {
        const int place = static_cast<int>(zero_convs.size());
        zero_convs.emplace_back(w / "zero_convs" / place / 0, width, width, Conv2d::pointwise());
    }
}

std::vector<Tensor> ControlNet::forward(const Ctx & ctx, Tensor x, Tensor timestep, Tensor label,
                                        unet::Prompt & prompt, Tensor seen) const {
    const unet::Encoded encoded = encoder.forward(ctx, x, timestep, label, prompt, seen);
    std::vector<Tensor> residuals;
    for (size_t i = 0; i < zero_convs.size(); i++)
        residuals.push_back(zero_convs[i].forward(ctx, encoded.skips[i]));
    residuals.push_back(middle_out.forward(ctx, encoded.middle));
    return residuals;
}

}  // namespace imageforge::controlnet
