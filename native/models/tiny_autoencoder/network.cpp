// Runs a tiny autoencoder. Either half may be missing: previews need only the decoder.
#include "core/error.h"
#include "models/shapes.h"
#include "models/tiny_autoencoder/tiny_autoencoder.h"

namespace imageforge::tiny_autoencoder {

namespace {

class TinyAutoencoder : public AutoencoderNetwork {
public:
    TinyAutoencoder(const Config & config, Weights w) : settings_(config) {
        if ((w / "encoder" / 0).has("weight")) encoder_.emplace(w / "encoder", settings_);
        if ((w / "decoder" / 1).has("weight") || !encoder_) decoder_.emplace(w / "decoder", settings_);
        if (settings_.patchify) patches_.emplace(w / "bn", settings_.packed_channels());
    }

    Posterior encode(Runner & runner, const HostTensor & image) override {
        if (!encoder_) fail(ErrorCode::Unsupported, "tiny_autoencoder: the file holds only the decoder");
        require_image(image, settings_.factor(), "tiny_autoencoder");
        auto build = [&](GraphBuilder & graph) {
            const Ctx & ctx = graph.ctx();
            Tensor x = graph.input("image", {image.shape[0], image.shape[1], 3, 1});
            Tensor z = encoder_->forward(ctx, ggml_scale_bias(ctx.graph, x, 0.5f, 0.5f));
            graph.output("mean", patches_ ? patches_->pack(ctx, z) : z);
        };
        Outputs outputs = runner.run("encode " + size_text(image), build, {{"image", image}});
        return {as_image(std::move(outputs.at("mean"))), std::nullopt};
    }

    HostTensor decode(Runner & runner, const HostTensor & latent) override {
        if (!decoder_) fail(ErrorCode::Unsupported, "tiny_autoencoder: the file holds only the encoder");
        require_latent(latent, settings_.packed_channels(), "tiny_autoencoder");
        auto build = [&](GraphBuilder & graph) {
            const Ctx & ctx = graph.ctx();
            Tensor z =
                graph.input("latent", {latent.shape[0], latent.shape[1], settings_.packed_channels(), 1});
            Tensor image = decoder_->forward(ctx, patches_ ? patches_->unpack(ctx, z) : z);
            graph.output("image", ggml_scale_bias(ctx.graph, image, 2, -1));
        };
        Outputs outputs = runner.run("decode " + size_text(latent), build, {{"latent", latent}});
        return as_image(std::move(outputs.at("image")));
    }

private:
    Settings settings_;
    std::optional<Encoder> encoder_;
    std::optional<Decoder> decoder_;
    std::optional<autoencoder::PatchNorm> patches_;
};

}  // namespace

std::unique_ptr<AutoencoderNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<TinyAutoencoder>(config, weights);
}

}  // namespace imageforge::tiny_autoencoder
