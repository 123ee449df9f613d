// Runs a ControlNet beside a denoiser. Picture and prompts are read once for all steps; then each step is one
// graph whose results stay on the device.
#include <cstdio>

#include "core/error.h"
#include "models/controlnet/controlnet.h"
#include "models/shapes.h"
#include "models/unet/prompt.h"

namespace imageforge::controlnet {

namespace {

class Control : public ControlNetwork {
public:
    Control(const Config & config, Weights w)
        : net_(config, w), prompts_(net_.encoder, net_.encoder.cross_attentions(), "controlnet") {}

    std::vector<std::unique_ptr<Conditioning>> condition(Runner & runner, const HostTensor & picture,
                                                         std::vector<ConditioningInputs> prompts) override {
        const DeviceTensors seen = look_at(runner, picture);
        std::vector<std::unique_ptr<Conditioning>> conditionings;
        for (ConditioningInputs & inputs : prompts) {
            conditionings.push_back(prompts_.read(runner, std::move(inputs)));
            conditionings.back()->picture = seen;
        }
        return conditionings;
    }

    std::vector<DeviceTensors> steer(Runner & runner, const HostTensor & latent, float timestep,
                                     const std::vector<const Conditioning *> & batch,
                                     float strength) override {
        check(latent, batch);
        const int64_t width = latent.shape[0], height = latent.shape[1],
                      count = static_cast<int64_t>(batch.size());
        const int64_t tokens = batch[0]->inputs.context.shape[1];
        const unet::Settings & s = net_.encoder.settings;
        auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("latent", {width, height, s.in_channels, count});
            Tensor t = graph.input("timestep", {count});
            Tensor seen = graph.input("seen", {width, height, s.channels[0], count});
            auto [prompt, label] = prompts_.inputs(graph, tokens, count);
            const auto residuals = net_.forward(graph.ctx(), x, t, label, prompt, seen);
            for (size_t i = 0; i < residuals.size(); i++)
                output_parts(graph, residual_name(i), scale(graph.ctx(), residuals[i], strength));
        };
        char strength_text[32];
        std::snprintf(strength_text, sizeof strength_text, "%a", strength);
        const std::string key = "steer " + size_text(latent) + " batch " + std::to_string(count) +
                                " tokens " + std::to_string(tokens) + " strength " + strength_text;
        const std::vector<float> timesteps(batch.size(), timestep);
        Feeds feeds = {{"timestep", timesteps}};
        for (const Conditioning * conditioning : batch) {
            feeds["latent"].add(latent);
            feeds["seen"].add(conditioning->picture.at("seen"));
            prompts_.feed(feeds, *conditioning);
        }
        const DeviceTensors all = runner.run_keep(key, build, feeds);
        std::vector<DeviceTensors> residuals;
        for (int64_t i = 0; i < count; i++) residuals.push_back(all.below(part_prefix(i)));
        return residuals;
    }

private:
    ControlNet net_;
    unet::PromptReader prompts_;

    DeviceTensors look_at(Runner & runner, const HostTensor & picture) const {
        require_image(picture, picture_factor, "controlnet");
        auto build = [&](GraphBuilder & graph) {
            Tensor image = graph.input("picture", {picture.shape[0], picture.shape[1], 3, 1});
            image = ggml_scale_bias(graph.ctx().graph, image, 0.5f, 0.5f);
            graph.output("seen", net_.hint.forward(graph.ctx(), image));
        };
        return runner.run_keep("look at " + size_text(picture), build, {{"picture", picture}});
    }

    static std::string part_prefix(int64_t i) { return std::to_string(i) + " "; }

    /// One output for each item of the batch, since the denoiser may batch them differently.
    static void output_parts(GraphBuilder & graph, const std::string & name, Tensor x) {
        for (int64_t i = 0; i < x->ne[3]; i++)
            graph.output(part_prefix(i) + name, ggml_view_3d(graph.ctx().graph, x, x->ne[0], x->ne[1],
                                                             x->ne[2], x->nb[1], x->nb[2], i * x->nb[3]));
    }

    static Tensor scale(const Ctx & ctx, Tensor x, float strength) {
        return strength == 1 ? x : ggml_scale(ctx.graph, x, strength);
    }

    void check(const HostTensor & latent, const std::vector<const Conditioning *> & batch) const {
        require_latent(latent, net_.encoder.settings.in_channels, "controlnet");
        for (const Conditioning * conditioning : batch) {
            Tensor seen = conditioning->picture.at("seen");
            if (seen->ne[0] != latent.shape[0] || seen->ne[1] != latent.shape[1])
                fail(ErrorCode::InvalidArgument,
                     "controlnet: the picture has %lldx%lld pixels, expected %lld a side for each of the "
                     "latent's %s cells",
                     static_cast<long long>(seen->ne[0] * picture_factor),
                     static_cast<long long>(seen->ne[1] * picture_factor),
                     static_cast<long long>(picture_factor), size_text(latent).c_str());
        }
    }
};

}  // namespace

std::unique_ptr<ControlNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<Control>(config, weights);
}

}  // namespace imageforge::controlnet
