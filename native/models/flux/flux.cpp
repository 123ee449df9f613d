#include "models/flux/flux.h"

#include <numeric>

#include "core/error.h"
#include "nn/ops.h"
#include "nn/slices.h"

namespace imageforge::flux {

static constexpr int64_t sinusoids = 256;

Settings::Settings(const Config & config)
    : generation(static_cast<Generation>(config.integer("generation", 1, 2))),
      width(config.integer("width", 1)),
      heads(config.integer("heads", 1)),
      double_blocks(config.integer("doubleBlocks", 1, 1024)),
      single_blocks(config.integer("singleBlocks", 0, 1024)),
      mlp_width(config.integer("mlpWidth", 1)),
      in_channels(config.integer("inChannels", 1)),
      out_channels(config.integer("outChannels", 1)),
      context_width(config.integer("contextWidth", 1)),
      vector_width(config.integer("vectorWidth")),
      guidance(config.flag("guidance")),
      axes(config.integers("axes", 2)),
      theta(static_cast<float>(config.number("theta"))) {
    config.check_all_read("flux");
    const int64_t rotary = std::accumulate(axes.begin(), axes.end(), int64_t{0});
    if (width % heads != 0 || rotary != head_dim()) {
        fail(ErrorCode::InvalidArgument,
             "flux: heads of %lld / %lld values don't match axes of %lld together",
             static_cast<long long>(width), static_cast<long long>(heads), static_cast<long long>(rotary));
    }
    for (int64_t axis : axes) {
        if (axis % 2 != 0)
            fail(ErrorCode::InvalidArgument, "flux: every axis needs an even number of values");
    }
    if (axes.size() != (flux2() ? 4u : 3u))
        fail(ErrorCode::InvalidArgument, "flux: %zu axes, expected %d", axes.size(), flux2() ? 4 : 3);
    if (in_channels != out_channels || in_channels % (patch() * patch()) != 0) {
        fail(
            ErrorCode::Unsupported,
            "flux: the network takes tokens of %lld values and gives %lld; networks where both are equal run",
            static_cast<long long>(in_channels), static_cast<long long>(out_channels));
    }
}

Embedding::Embedding(Weights w, int64_t in_width, const Settings & s)
    : in(w / "in_layer", in_width, s.width, s.biases()), out(w / "out_layer", s.width, s.width, s.biases()) {}

Tensor Embedding::forward(const Ctx & ctx, Tensor x) const {
    return out.forward(ctx, silu(ctx, in.forward(ctx, x)));
}

SharedModulators::SharedModulators(Weights w, const Settings & s)
    : image(w / "double_stream_modulation_img" / "lin", s.width, 2, true, s.biases()),
      text(w / "double_stream_modulation_txt" / "lin", s.width, 2, true, s.biases()),
      single(w / "single_stream_modulation" / "lin", s.width, 1, true, s.biases()) {}

Flux::Flux(Settings given, Weights w)
    : settings(std::move(given)),
      image_in(w / "img_in", settings.in_channels, settings.width, settings.biases()),
      text_in(w / "txt_in", settings.context_width, settings.width, settings.biases()),
      time(w / "time_in", sinusoids, settings),
      final_modulator(w / "final_layer" / "adaLN_modulation" / 1, settings.width, 1, false,
                      settings.biases()),
      final_linear(w / "final_layer" / "linear", settings.width, settings.out_channels, settings.biases()) {
    if (settings.guidance) guidance.emplace(w / "guidance_in", sinusoids, settings);
    if (settings.vector_width) vector.emplace(w / "vector_in", settings.vector_width, settings);
    if (settings.flux2()) shared.emplace(w, settings);
    for (int i = 0; i < settings.double_blocks; i++)
        double_blocks.emplace_back(w / "double_blocks" / i, settings);
    for (int i = 0; i < settings.single_blocks; i++)
        single_blocks.emplace_back(w / "single_blocks" / i, settings);
}

Tensor Flux::constant_vector(const Ctx & ctx, Tensor guidance_scale, Tensor pooled) const {
    Tensor sum =
        guidance ? guidance->forward(ctx, timestep_embedding(ctx, guidance_scale, sinusoids)) : nullptr;
    if (!vector) return sum;
    Tensor text = vector->forward(ctx, pooled);
    return sum ? add(ctx, sum, text) : text;
}

Tensor Flux::forward(const Ctx & ctx, Tensor image, Tensor text, Tensor time_value, Tensor constant,
                     Positions positions, int64_t length) const {
    Tensor vec = time.forward(ctx, timestep_embedding(ctx, time_value, sinusoids));
    Conditions conditions;
    conditions.vector = silu(ctx, constant ? add(ctx, vec, constant) : vec);
    conditions.positions = std::move(positions);
    if (shared) {
        conditions.image = shared->image.forward(ctx, conditions.vector);
        conditions.text = shared->text.forward(ctx, conditions.vector);
        conditions.single = shared->single.forward(ctx, conditions.vector);
    }
    Tokens tokens = {image_in.forward(ctx, image), text};
    for (const DoubleBlock & block : double_blocks) tokens = block.forward(ctx, tokens, conditions);
    Tensor x = ggml_concat(ctx.graph, tokens.text, tokens.image, 1);
    for (const SingleBlock & block : single_blocks) x = block.forward(ctx, x, conditions);
    x = slice_tokens(ctx, x, text->ne[1], length);
    return final_linear.forward(
        ctx, modulated_norm(ctx, x, final_modulator.forward(ctx, conditions.vector)[0], 1e-6f));
}

}  // namespace imageforge::flux
