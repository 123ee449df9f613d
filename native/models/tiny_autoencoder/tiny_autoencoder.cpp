#include "models/tiny_autoencoder/tiny_autoencoder.h"

#include "nn/ops.h"

namespace imageforge::tiny_autoencoder {

Settings::Settings(const Config & config)
    : width(config.integer("width", 1)),
      latent_channels(config.integer("latentChannels", 1)),
      pooled(config.flag("pooled")),
      patchify(config.flag_or("patchify", false)) {
    config.check_all_read("tiny_autoencoder");
}

static Conv2d::Options without_bias(Conv2d::Options options) {
    options.with_bias = false;
    return options;
}

Pool::Pool(Weights w, int64_t width)
    : expand(w / 0, width, 4 * width, without_bias(Conv2d::pointwise())),
      norm(w / 1, 4 * width, 4, 1e-5f),
      reduce(w / 3, 4 * width, width, without_bias(Conv2d::pointwise())) {}

Tensor Pool::forward(const Ctx & ctx, Tensor x) const {
    return add(ctx, reduce.forward(ctx, relu(ctx, norm.forward(ctx, expand.forward(ctx, x)))), x);
}

Block::Block(Weights w, int64_t width, bool pooled)
    : conv1(w / "conv" / 0, width, width),
      conv2(w / "conv" / 2, width, width),
      conv3(w / "conv" / 4, width, width) {
    if (pooled) pool.emplace(w / "pool", width);
}

Tensor Block::forward(const Ctx & ctx, Tensor x) const {
    if (pool) x = pool->forward(ctx, x);
    Tensor h = relu(ctx, conv1.forward(ctx, x));
    h = relu(ctx, conv2.forward(ctx, h));
    return relu(ctx, add(ctx, conv3.forward(ctx, h), x));
}

Tensor Level::forward(const Ctx & ctx, Tensor x) const {
    if (resize) x = resize->forward(ctx, x);
    for (const Block & block : blocks) x = block.forward(ctx, x);
    return x;
}

static std::vector<Block> blocks(Weights w, int first, int count, int64_t width, bool pooled) {
    std::vector<Block> result;
    for (int i = first; i < first + count; i++) result.emplace_back(w / i, width, pooled);
    return result;
}

static std::vector<Level> encoder_levels(Weights w, const Settings & s) {
    Conv2d::Options half = without_bias({});
    half.stride = 2;
    std::vector<Level> levels;
    levels.push_back({std::nullopt, blocks(w, 1, 1, s.width, false)});
    for (int first : {2, 6, 10}) {
        levels.push_back({Conv2d(w / first, s.width, s.width, half),
                          blocks(w, first + 1, 3, s.width, s.pooled && first == 10)});
    }
    return levels;
}

Encoder::Encoder(Weights w, const Settings & s)
    : conv_in(w / 0, 3, s.width),
      levels(encoder_levels(w, s)),
      conv_out(w / 14, s.width, s.latent_channels) {}

Tensor Encoder::forward(const Ctx & ctx, Tensor x) const {
    Tensor h = conv_in.forward(ctx, x);
    for (const Level & level : levels) h = level.forward(ctx, h);
    return conv_out.forward(ctx, h);
}

static std::vector<Level> decoder_levels(Weights w, const Settings & s) {
    Conv2d::Options twice = without_bias({});
    twice.upsample2 = true;
    std::vector<Level> levels;
    levels.push_back({std::nullopt, blocks(w, 3, 3, s.width, s.pooled)});
    for (int first : {7, 12, 17}) {
        levels.push_back({Conv2d(w / first, s.width, s.width, twice),
                          blocks(w, first + 1, first == 17 ? 1 : 3, s.width, false)});
    }
    return levels;
}

Decoder::Decoder(Weights w, const Settings & s)
    : conv_in(w / 1, s.latent_channels, s.width),
      levels(decoder_levels(w, s)),
      conv_out(w / 19, s.width, 3) {}

Tensor Decoder::forward(const Ctx & ctx, Tensor z) const {
    z = ggml_scale(ctx.graph, ggml_tanh(ctx.graph, ggml_scale(ctx.graph, z, 1.0f / 3)), 3);
    Tensor h = relu(ctx, conv_in.forward(ctx, z));
    for (const Level & level : levels) h = level.forward(ctx, h);
    return conv_out.forward(ctx, h);
}

}  // namespace imageforge::tiny_autoencoder
