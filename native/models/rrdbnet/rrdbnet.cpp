#include "models/rrdbnet/rrdbnet.h"

#include "core/error.h"
#include "nn/activations.h"
#include "nn/ops.h"

namespace imageforge::rrdbnet {

static constexpr int dense_convolutions = 5;
static constexpr float slope = 0.2f;           // of the leaky ReLUs
static constexpr float residual_scale = 0.2f;  // of a block's residual

Settings::Settings(const Config & config)
    : width(config.integer("width", 1)),
      growth(config.integer("growth", 1)),
      blocks(config.integer("blocks", 1, 256)),
      shuffle(config.integer("shuffle", 1, 4)),
      doublings(config.integer("doublings", 0, 3)) {
    config.check_all_read("rrdbnet");
    if (shuffle == 3 || grow(4) < 4) {
        fail(ErrorCode::InvalidArgument,
             "rrdbnet: pictures are packed by 1, 2 or 4 and doubled as often at least, found %lld and %lld",
             static_cast<long long>(shuffle), static_cast<long long>(doublings));
    }
}

DenseBlock::DenseBlock(Weights w, const Settings & s) {
    for (int i = 0; i < dense_convolutions; i++) {
        const int64_t out = i + 1 == dense_convolutions ? s.width : s.growth;
        convolutions.emplace_back(w / ("conv" + std::to_string(i + 1)), s.width + i * s.growth, out);
    }
}

/// x plus a fifth of the block's result.
static Tensor add_residual(const Ctx & ctx, Tensor x, Tensor made) {
    return add(ctx, ggml_scale(ctx.graph, made, residual_scale), x);
}

Tensor DenseBlock::forward(const Ctx & ctx, Tensor x) const {
    Tensor seen = x;
    for (int i = 0; i + 1 < dense_convolutions; i++) {
        Tensor more = leaky_relu(ctx, convolutions[i].forward(ctx, seen), slope);
        seen = concat_channels(ctx, seen, more);
    }
    return add_residual(ctx, x, convolutions.back().forward(ctx, seen));
}

Block::Block(Weights w, const Settings & s)
    : first(w / "rdb1", s), second(w / "rdb2", s), third(w / "rdb3", s) {}

Tensor Block::forward(const Ctx & ctx, Tensor x) const {
    return add_residual(ctx, x, third.forward(ctx, second.forward(ctx, first.forward(ctx, x))));
}

RrdbNet::RrdbNet(Settings given, Weights w)
    : settings(given),
      conv_first(w / "conv_first", 3 * settings.shuffle * settings.shuffle, settings.width),
      conv_body(w / "conv_body", settings.width, settings.width),
      conv_hr(w / "conv_hr", settings.width, settings.width),
      conv_last(w / "conv_last", settings.width, 3) {
    for (int i = 0; i < settings.blocks; i++) blocks.emplace_back(w / "body" / i, settings);
    Conv2d::Options twice;
    twice.upsample2 = true;
    for (int i = 1; i <= settings.doublings; i++)
        doublings.emplace_back(w / ("conv_up" + std::to_string(i)), settings.width, settings.width, twice);
}

Tensor RrdbNet::forward(const Ctx & ctx, Tensor x) const {
    Tensor shallow = conv_first.forward(ctx, x);
    Tensor deep = shallow;
    for (const Block & block : blocks) deep = block.forward(ctx, deep);
    Tensor h = add(ctx, conv_body.forward(ctx, deep), shallow);
    for (const Conv2d & twice : doublings) h = leaky_relu(ctx, twice.forward(ctx, h), slope);
    return conv_last.forward(ctx, leaky_relu(ctx, conv_hr.forward(ctx, h), slope));
}

}  // namespace imageforge::rrdbnet
