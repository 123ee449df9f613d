// The autoencoder between pictures and latents: posterior moments in latent space, and decoding.
#include "core/error.h"
#include "models/autoencoder/autoencoder.h"
#include "models/shapes.h"

namespace imageforge::autoencoder {

namespace {

class AutoencoderKl : public AutoencoderNetwork {
public:
    AutoencoderKl(const Config & config, Weights w)
        : settings_(config), encoder_(w / "encoder", settings_), decoder_(w / "decoder", settings_) {
        const Settings & s = settings_;
        if (s.quant_conv) {
            quant_.emplace(w / "quant_conv", 2 * s.latent_channels, 2 * s.latent_channels,
                           Conv2d::pointwise());
            post_quant_.emplace(w / "post_quant_conv", s.latent_channels, s.latent_channels,
                                Conv2d::pointwise());
        }
        if (s.patchify) patches_.emplace(w / "bn", s.packed_channels());
    }

    Posterior encode(Runner & runner, const HostTensor & image) override {
        require_image(image, settings_.factor(), "autoencoder");
        auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("image", {image.shape[0], image.shape[1], 3, 1});
            add_posterior(graph, moments(graph.ctx(), x));
        };
        Outputs outputs = runner.run("encode " + size_text(image), build, {{"image", image}});
        Posterior posterior;
        posterior.mean = as_image(std::move(outputs.at("mean")));
        if (outputs.count("std")) posterior.std = as_image(std::move(outputs.at("std")));
        return posterior;
    }

    HostTensor decode(Runner & runner, const HostTensor & latent) override {
        const int64_t channels = settings_.packed_channels();
        require_latent(latent, channels, "autoencoder");
        auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("latent", {latent.shape[0], latent.shape[1], channels, 1});
            graph.output("image", decoder_.forward(graph.ctx(), from_latent_space(graph.ctx(), x)));
        };
        Outputs outputs = runner.run("decode " + size_text(latent), build, {{"latent", latent}});
        return as_image(std::move(outputs.at("image")));
    }

private:
    Settings settings_;
    Encoder encoder_;
    Decoder decoder_;
    std::optional<Conv2d> quant_, post_quant_;
    std::optional<PatchNorm> patches_;

    /// Mean and log variance of z, [w, h, 2 c, 1].
    Tensor moments(const Ctx & ctx, Tensor image) const {
        Tensor z = encoder_.forward(ctx, image);
        return quant_ ? quant_->forward(ctx, z) : z;
    }

    void add_posterior(GraphBuilder & graph, Tensor moments) const {
        const Ctx & ctx = graph.ctx();
        ggml_context * g = ctx.graph;
        const int64_t channels = settings_.latent_channels;
        auto half = [&](int64_t first) {
            return ggml_cont(g, ggml_view_3d(g, moments, moments->ne[0], moments->ne[1], channels,
                                             moments->nb[1], moments->nb[2], first * moments->nb[2]));
        };
        Tensor mean = ggml_scale_bias(g, half(0), settings_.scale, -settings_.shift * settings_.scale);
        if (patches_) {
            graph.output("mean", patches_->pack(ctx, mean));
            return;
        }
        graph.output("mean", mean);
        Tensor log_variance = ggml_clamp(g, half(channels), -30, 20);
        graph.output("std", ggml_scale(g, ggml_exp(g, ggml_scale(g, log_variance, 0.5f)), settings_.scale));
    }

    Tensor from_latent_space(const Ctx & ctx, Tensor x) const {
        if (patches_) x = patches_->unpack(ctx, x);
        x = ggml_scale_bias(ctx.graph, x, 1 / settings_.scale, settings_.shift);
        return post_quant_ ? post_quant_->forward(ctx, x) : x;
    }
};

}  // namespace

std::unique_ptr<AutoencoderNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<AutoencoderKl>(config, weights);
}

}  // namespace imageforge::autoencoder
