// Runs the autoencoder: encodes a picture to the moments of its posterior, and decodes a latent.
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "models/autoencoder/autoencoder.h"
#include "models/autoencoder/tiles.h"
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
        const auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("image", {image.shape[0], image.shape[1], 3, 1});
            add_posterior(graph, moments(graph.ctx(), encoder_.forward(graph.ctx(), x)));
        };
        const std::string key = "encode " + size_text(image);
        if (fits(runner, key, build)) return to_posterior(runner.run(key, build, {{"image", image}}));

        const TiledPart fine = fine_encoder();
        const Tiles tiles = fine.choose(runner, image.shape[0] / fine.in_scale,
                                        image.shape[1] / fine.in_scale, runner.device().autoencoder_budget());
        tell(runner, key, build, tiles);
        const HostTensor h = fine.run(runner, tiles, image);
        const auto build_coarse = [&](GraphBuilder & graph) {
            Tensor x = graph.input("h", {h.shape[0], h.shape[1], h.shape[2], 1});
            add_posterior(graph, moments(graph.ctx(), encoder_.forward_coarse(graph.ctx(), x)));
        };
        return to_posterior(runner.run(key + " coarse", build_coarse, {{"h", h}}));
    }

    HostTensor decode(Runner & runner, const HostTensor & latent) override {
        const int64_t channels = settings_.packed_channels();
        require_latent(latent, channels, "autoencoder");
        const auto read_latent = [&](GraphBuilder & graph) {
            Tensor x = graph.input("latent", {latent.shape[0], latent.shape[1], channels, 1});
            return from_latent_space(graph.ctx(), x);
        };
        const auto build = [&](GraphBuilder & graph) {
            graph.output("image", decoder_.forward(graph.ctx(), read_latent(graph)));
        };
        const std::string key = "decode " + size_text(latent);
        if (fits(runner, key, build))
            return as_image(std::move(runner.run(key, build, {{"latent", latent}}).at("image")));

        // As many levels as fit run in one piece, so that their norms see the whole picture.
        for (size_t last = settings_.channels.size() - 1; last-- > 0;) {
            const auto build_coarse = [&](GraphBuilder & graph) {
                graph.output("h", decoder_.forward_coarse(graph.ctx(), read_latent(graph), last));
            };
            const std::string coarse = key + " coarse " + std::to_string(last);
            if (last > 0 && !fits(runner, coarse, build_coarse)) continue;
            const TiledPart fine = fine_decoder(last);
            const int64_t cells = settings_.factor() / fine.out_scale;
            const Tiles tiles = fine.choose(runner, latent.shape[0] * cells, latent.shape[1] * cells,
                                            runner.device().autoencoder_budget());
            tell(runner, key, build, tiles);
            const HostTensor h =
                as_image(std::move(runner.run(coarse, build_coarse, {{"latent", latent}}).at("h")));
            return fine.run(runner, tiles, h);
        }
        // With one level, at the latent's resolution, there are no fine levels to cut into tiles.
        return as_image(std::move(runner.run(key, build, {{"latent", latent}}).at("image")));
    }

private:
    Settings settings_;
    Encoder encoder_;
    Decoder decoder_;
    std::optional<Conv2d> quant_, post_quant_;
    std::optional<PatchNorm> patches_;

    /// Decided before anything runs, from the free memory.
    static bool fits(Runner & runner, const std::string & key, const Build & build) {
        return runner.measure(key, build) <= runner.device().autoencoder_budget();
    }

    static void tell(Runner & runner, const std::string & key, const Build & whole, const Tiles & tiles) {
        const uint64_t bytes = runner.measure(key, whole);
        const std::string needed = bytes == UINT64_MAX ? "too large a tensor" : format_bytes(bytes);
        log_line(LogLevel::Info, key + ": " + needed + " in one piece, of " +
                                     format_bytes(runner.device().autoencoder_budget()) +
                                     " that it may take; in " + std::to_string(tiles.count()) + " tiles of " +
                                     format_bytes(tiles.bytes));
    }

    TiledPart fine_encoder() const {
        const int64_t cell = int64_t{1} << (settings_.channels.size() - 1);
        return {"encoder", cell, 1, 3, encoder_.halo(), [this](const Ctx & ctx, Tensor x) {
                    return encoder_.forward_fine(ctx, x);
                }};
    }

    TiledPart fine_decoder(size_t last) const {
        const size_t levels = settings_.channels.size();
        return {"decoder from " + std::to_string(last),
                1,
                int64_t{1} << (levels - 1 - last),
                settings_.channels[levels - 1 - last],
                decoder_.halo(last),
                [this, last](const Ctx & ctx, Tensor h) { return decoder_.forward_fine(ctx, h, last); }};
    }

    static Posterior to_posterior(Outputs outputs) {
        Posterior posterior;
        posterior.mean = as_image(std::move(outputs.at("mean")));
        if (outputs.count("std")) posterior.std = as_image(std::move(outputs.at("std")));
        return posterior;
    }

    /// Mean and log variance of z, [w, h, 2 c, 1].
    Tensor moments(const Ctx & ctx, Tensor z) const { return quant_ ? quant_->forward(ctx, z) : z; }

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
