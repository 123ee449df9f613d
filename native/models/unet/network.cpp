// The UNet as a denoiser: the prompt is read once for all steps, then each step is one graph.
#include "core/error.h"
#include "models/shapes.h"
#include "models/unet/unet.h"

namespace imageforge::unet {

namespace {

std::string keys_name(size_t i) { return "keys " + std::to_string(i); }
std::string values_name(size_t i) { return "values " + std::to_string(i); }

class UnetNetwork : public DenoiserNetwork {
public:
    UnetNetwork(const Config & config, Weights w) : unet_(Settings(config), w) {}

    std::unique_ptr<Conditioning> condition(Runner & runner, ConditioningInputs inputs) override {
        check(inputs);
        const int64_t tokens = inputs.context.shape[1];
        auto build = [&](GraphBuilder & graph) {
            Tensor context = graph.input("context", {unet_.settings.context_width, tokens, 1});
            const auto attentions = unet_.cross_attentions();
            for (size_t i = 0; i < attentions.size(); i++) {
                const PromptState state = attentions[i]->read(graph.ctx(), context);
                graph.output(keys_name(i), state.keys);
                graph.output(values_name(i), state.values);
            }
            if (!unet_.label) return;
            Tensor vector = graph.input("vector", {unet_.settings.vector_width, 1});
            graph.output("label", unet_.label->forward(graph.ctx(), vector));
        };
        Feeds feeds = {{"context", inputs.context}};
        if (unet_.label) feeds["vector"] = *inputs.vector;
        auto conditioning = std::make_unique<Conditioning>();
        conditioning->kept = runner.run_keep("condition " + std::to_string(tokens), build, feeds);
        conditioning->shape = std::to_string(tokens);
        conditioning->inputs = std::move(inputs);
        return conditioning;
    }

    std::vector<HostTensor> predict(Runner & runner, const HostTensor & latent, float timestep,
                                    const std::vector<const Conditioning *> & batch) override {
        check(latent, batch);
        const int64_t width = latent.shape[0], height = latent.shape[1],
                      count = static_cast<int64_t>(batch.size());
        const int64_t tokens = batch[0]->inputs.context.shape[1];
        auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("latent", {width, height, unet_.settings.in_channels, count});
            Tensor t = graph.input("timestep", {count});
            Tensor label = unet_.label ? graph.input("label", {unet_.settings.time_width(), count}) : nullptr;
            Prompt prompt(prompt_inputs(graph, tokens, count));
            graph.output("prediction", unet_.forward(graph.ctx(), x, t, label, prompt));
        };
        const std::string key = "predict " + std::to_string(width) + "x" + std::to_string(height) +
                                " batch " + std::to_string(count) + " tokens " + std::to_string(tokens);
        const std::vector<float> timesteps(batch.size(), timestep);
        Feeds feeds = {{"timestep", timesteps}};
        for (const Conditioning * conditioning : batch) {
            feeds["latent"].add(latent);
            if (conditioning->inputs.concat) feeds["latent"].add(*conditioning->inputs.concat);
            for (const std::string & name : kept_names()) feeds[name].add(conditioning->kept.at(name));
        }
        const HostTensor all = std::move(runner.run(key, build, feeds).at("prediction"));
        std::vector<HostTensor> predictions;
        const int64_t size = width * height * unet_.settings.out_channels;
        for (auto from = all.data.begin(); from != all.data.end(); from += size) {
            predictions.push_back({{width, height, unet_.settings.out_channels}, {from, from + size}});
        }
        return predictions;
    }

private:
    Unet unet_;

    std::vector<PromptState> prompt_inputs(GraphBuilder & graph, int64_t tokens, int64_t count) const {
        std::vector<PromptState> states;
        for (const CrossAttention * attention : unet_.cross_attentions()) {
            const size_t i = states.size();
            states.push_back({graph.input(keys_name(i), {attention->width, tokens, count}),
                              graph.input(values_name(i), {attention->width, tokens, count})});
        }
        return states;
    }

    std::vector<std::string> kept_names() const {
        std::vector<std::string> names;
        for (size_t i = 0; i < unet_.cross_attentions().size(); i++) {
            names.push_back(keys_name(i));
            names.push_back(values_name(i));
        }
        if (unet_.label) names.push_back("label");
        return names;
    }

    void check(const ConditioningInputs & inputs) const {
        const Settings & s = unet_.settings;
        const int64_t tokens = inputs.context.shape.size() == 2 ? inputs.context.shape[1] : 1;
        require_shape(inputs.context, {s.context_width, tokens}, "unet: the context");
        if (s.vector_width) {
            if (!inputs.vector)
                fail(ErrorCode::InvalidArgument, "unet: this network needs a conditioning vector");
            require_shape(*inputs.vector, {s.vector_width}, "unet: the conditioning vector");
        } else if (inputs.vector) {
            fail(ErrorCode::InvalidArgument, "unet: this network takes no conditioning vector");
        }
        if (inputs.guidance)
            fail(ErrorCode::InvalidArgument, "unet: this network takes no distilled guidance");
        if (!inputs.references.empty())
            fail(ErrorCode::InvalidArgument, "unet: this network takes no reference images");
    }

    void check(const HostTensor & latent, const std::vector<const Conditioning *> & batch) const {
        if (latent.shape.size() != 3) {
            fail(ErrorCode::InvalidArgument,
                 "unet: the latent has %zu dimensions, expected channels, height and width",
                 latent.shape.size());
        }
        require_shape(latent, latent.shape, "unet: the latent");
        for (const Conditioning * conditioning : batch) {
            const auto & concat = conditioning->inputs.concat;
            const int64_t extra = unet_.settings.in_channels - latent.shape[2];
            if (extra < 0 || (extra > 0) != concat.has_value()) {
                fail(ErrorCode::InvalidArgument,
                     "unet: the network takes %lld channels, the latent has %lld and %s",
                     static_cast<long long>(unet_.settings.in_channels),
                     static_cast<long long>(latent.shape[2]),
                     concat ? "extra channels were given" : "no extra channels were given");
            }
            if (concat)
                require_shape(*concat, {latent.shape[0], latent.shape[1], extra},
                              "unet: the tensor of extra channels");
        }
    }
};

}  // namespace

std::unique_ptr<DenoiserNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<UnetNetwork>(config, weights);
}

}  // namespace imageforge::unet
