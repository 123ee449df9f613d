// Runs a UNet as a denoiser. The prompt is read once for all steps; then each step is one graph.
#include "core/error.h"
#include "models/shapes.h"
#include "models/unet/prompt.h"
#include "models/unet/unet.h"
#include "nn/ops.h"

namespace imageforge::unet {

namespace {

class UnetNetwork : public DenoiserNetwork {
public:
    UnetNetwork(const Config & config, Weights w)
        : out_channels_(config.integer("outChannels", 1)),
          unet_(Settings(config), out_channels_, w),
          prompts_(unet_.encoder, unet_.cross_attentions(), "unet") {}

    std::unique_ptr<Conditioning> condition(Runner & runner, ConditioningInputs inputs) override {
        return prompts_.read(runner, std::move(inputs));
    }

    std::vector<HostTensor> predict(Runner & runner, const HostTensor & latent, float timestep,
                                    const std::vector<Pass> & batch) override {
        check(latent, batch);
        const int64_t width = latent.shape[0], height = latent.shape[1],
                      count = static_cast<int64_t>(batch.size());
        const int64_t tokens = batch[0].conditioning->inputs.context.shape[1];
        const bool controlled = batch[0].residuals != nullptr;
        auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("latent", {width, height, settings().in_channels, count});
            Tensor t = graph.input("timestep", {count});
            auto [prompt, label] = prompts_.inputs(graph, tokens, count);
            Encoded encoded = unet_.encoder.forward(graph.ctx(), x, t, label, prompt);
            if (controlled) add_residuals(graph, encoded);
            graph.output("prediction", unet_.decode(graph.ctx(), std::move(encoded), prompt));
        };
        const std::string key = "predict " + size_text(latent) + " batch " + std::to_string(count) +
                                " tokens " + std::to_string(tokens) + (controlled ? " controlled" : "");
        const std::vector<float> timesteps(batch.size(), timestep);
        Feeds feeds = {{"timestep", timesteps}};
        for (const auto & [conditioning, residuals] : batch) {
            feeds["latent"].add(latent);
            if (conditioning->inputs.concat) feeds["latent"].add(*conditioning->inputs.concat);
            prompts_.feed(feeds, *conditioning);
            for (size_t i = 0; controlled && i < places(); i++)
                feeds[residual_name(i)].add(residuals->at(residual_name(i)));
        }
        const HostTensor all = std::move(runner.run(key, build, feeds).at("prediction"));
        std::vector<HostTensor> predictions;
        const int64_t size = width * height * out_channels_;
        for (auto from = all.data.begin(); from != all.data.end(); from += size)
            predictions.push_back({{width, height, out_channels_}, {from, from + size}});
        return predictions;
    }

private:
    int64_t out_channels_;
    Unet unet_;
    PromptReader prompts_;

    const Settings & settings() const { return unet_.encoder.settings; }
    /// The places where residuals are added: the skip connections and the middle block.
    size_t places() const { return settings().skip_channels().size() + 1; }

    /// Residuals change what the decoder sees; the encoder's own blocks never see them.
    static void add_residuals(GraphBuilder & graph, Encoded & encoded) {
        const auto add_to = [&](Tensor & h, size_t place) {
            Tensor residual = graph.input(residual_name(place), {h->ne[0], h->ne[1], h->ne[2], h->ne[3]});
            h = add(graph.ctx(), h, residual);
        };
        for (size_t i = 0; i < encoded.skips.size(); i++) add_to(encoded.skips[i], i);
        add_to(encoded.middle, encoded.skips.size());
    }

    void check(const HostTensor & latent, const std::vector<Pass> & batch) const {
        if (latent.shape.size() != 3) {
            fail(ErrorCode::InvalidArgument,
                 "unet: the latent has %zu dimensions, expected channels, height and width",
                 latent.shape.size());
        }
        require_shape(latent, latent.shape, "unet: the latent");
        for (const auto & [conditioning, residuals] : batch) {
            const auto & concat = conditioning->inputs.concat;
            const int64_t extra = settings().in_channels - latent.shape[2];
            if (extra < 0 || (extra > 0) != concat.has_value()) {
                fail(ErrorCode::InvalidArgument,
                     "unet: the network takes %lld channels, the latent has %lld and %s",
                     static_cast<long long>(settings().in_channels), static_cast<long long>(latent.shape[2]),
                     concat ? "extra channels were given" : "no extra channels were given");
            }
            if (concat)
                require_shape(*concat, {latent.shape[0], latent.shape[1], extra},
                              "unet: the tensor of extra channels");
            if (residuals) check(*residuals, latent);
        }
    }

    /// The other sizes follow from the first place's size and every place's channels.
    void check(const DeviceTensors & residuals, const HostTensor & latent) const {
        std::vector<int64_t> channels = settings().skip_channels();
        channels.push_back(settings().channels.back());
        bool fits = !residuals.has(residual_name(channels.size()));
        for (size_t i = 0; i < channels.size() && fits; i++)
            fits = residuals.has(residual_name(i)) && residuals.at(residual_name(i))->ne[2] == channels[i];
        if (!fits)
            fail(ErrorCode::InvalidArgument,
                 "unet: the ControlNet's residuals are those of another network, expected %zu places",
                 channels.size());
        Tensor first = residuals.at(residual_name(0));
        if (first->ne[0] != latent.shape[0] || first->ne[1] != latent.shape[1])
            fail(ErrorCode::InvalidArgument,
                 "unet: the ControlNet's residuals are of size %lldx%lld, the latent is %s",
                 static_cast<long long>(first->ne[0]), static_cast<long long>(first->ne[1]),
                 size_text(latent).c_str());
    }
};

}  // namespace

std::unique_ptr<DenoiserNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<UnetNetwork>(config, weights);
}

}  // namespace imageforge::unet
