// Runs a FLUX transformer as a denoiser. The prompt is read once for all steps; then each step is one graph
// over text, image and reference tokens.
#include "core/error.h"
#include "models/flux/flux.h"
#include "models/shapes.h"

namespace imageforge::flux {

namespace {

/// [W, H, C] -> tokens [C * p * p, W / p * H / p] of p x p patches in rows; channel = (c * p + dy) * p + dx.
HostTensor pack(const HostTensor & latent, int64_t p) {
    const int64_t width = latent.shape[0], height = latent.shape[1], channels = latent.shape[2];
    HostTensor tokens{{channels * p * p, width / p * (height / p)}, std::vector<float>(latent.data.size())};
    const float * from = latent.data.data();
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t y = 0; y < height; y++) {
            for (int64_t x = 0; x < width; x++) {
                const int64_t token = y / p * (width / p) + x / p, channel = (c * p + y % p) * p + x % p;
                tokens.data[token * tokens.shape[0] + channel] = *from++;
            }
        }
    }
    return tokens;
}

/// The inverse of pack().
HostTensor unpack(const float * tokens, const Shape & shape, int64_t p) {
    HostTensor latent{shape, std::vector<float>(element_count(shape))};
    const int64_t width = shape[0], height = shape[1], channels = shape[2], token_size = channels * p * p;
    float * to = latent.data.data();
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t y = 0; y < height; y++) {
            for (int64_t x = 0; x < width; x++) {
                const int64_t token = y / p * (width / p) + x / p, channel = (c * p + y % p) * p + x % p;
                *to++ = tokens[token * token_size + channel];
            }
        }
    }
    return latent;
}

using Ids = std::vector<std::vector<int32_t>>;  // position ids by axis

std::string positions_name(size_t axis) { return "positions " + std::to_string(axis); }

class FluxNetwork : public DenoiserNetwork {
public:
    FluxNetwork(const Config & config, Weights w) : flux_(Settings(config), w) {}

    std::unique_ptr<Conditioning> condition(Runner & runner, ConditioningInputs inputs) override {
        check(inputs);
        const Settings & s = flux_.settings;
        const int64_t tokens = inputs.context.shape[1];
        auto build = [&](GraphBuilder & graph) {
            const Ctx & ctx = graph.ctx();
            Tensor context = graph.input("context", {s.context_width, tokens, 1});
            graph.output("text", flux_.text_in.forward(ctx, context));
            Tensor guidance = flux_.guidance ? graph.input("guidance", {1}) : nullptr;
            Tensor pooled = flux_.vector ? graph.input("pooled", {s.vector_width, 1}) : nullptr;
            if (Tensor constant = flux_.constant_vector(ctx, guidance, pooled))
                graph.output("constant", constant);
        };
        Feeds feeds = {{"context", inputs.context}};
        const std::vector<float> guidance = {1000 * inputs.guidance.value_or(0)};
        if (flux_.guidance) feeds["guidance"] = guidance;
        if (flux_.vector) feeds["pooled"] = *inputs.vector;
        auto conditioning = std::make_unique<Conditioning>();
        conditioning->kept = runner.run_keep("condition " + std::to_string(tokens), build, feeds);
        conditioning->shape = std::to_string(tokens) + " tokens";
        for (const HostTensor & reference : inputs.references)
            conditioning->shape += " reference " + size_text(reference);
        conditioning->inputs = std::move(inputs);
        return conditioning;
    }

    std::vector<HostTensor> predict(Runner & runner, const HostTensor & latent, float timestep,
                                    const std::vector<Pass> & batch) override {
        require_patches(latent, "the latent");
        if (batch[0].residuals) fail(ErrorCode::InvalidArgument, "flux: this network takes no ControlNet");
        const Settings & s = flux_.settings;
        const ConditioningInputs & first = batch[0].conditioning->inputs;
        const int64_t count = static_cast<int64_t>(batch.size()), text_length = first.context.shape[1];
        const Ids ids = position_ids(text_length, latent, first.references);
        const int64_t image_length = static_cast<int64_t>(ids[0].size()) - text_length;
        const HostTensor image = pack(latent, s.patch());
        auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("image", {s.in_channels, image_length, count});
            Tensor text = graph.input("text", {s.width, text_length, count});
            Tensor time = graph.input("time", {count});
            Tensor constant = has_constant() ? graph.input("constant", {s.width, count}) : nullptr;
            graph.output("prediction", flux_.forward(graph.ctx(), x, text, time, constant,
                                                     position_inputs(graph, ids), image.shape[1]));
        };
        const std::vector<float> times(batch.size(), 1000 * timestep);
        Feeds feeds = {{"time", times}};
        std::vector<HostTensor> references;  // packed; must live until the graph has run
        for (const Pass & pass : batch) {
            for (const HostTensor & reference : pass.conditioning->inputs.references)
                references.push_back(pack(reference, s.patch()));
        }
        size_t next = 0;
        for (const Pass & pass : batch) {
            feeds["image"].add(image);
            for (size_t i = 0; i < first.references.size(); i++) feeds["image"].add(references[next++]);
            feeds["text"].add(pass.conditioning->kept.at("text"));
            if (has_constant()) feeds["constant"].add(pass.conditioning->kept.at("constant"));
        }
        for (size_t axis = 0; axis < ids.size(); axis++) {
            if (used(ids[axis])) feeds[positions_name(axis)] = ids[axis];
        }
        const std::string key = "predict " + size_text(latent) + " batch " + std::to_string(count) + " " +
                                batch[0].conditioning->shape;
        const HostTensor all = std::move(runner.run(key, build, feeds).at("prediction"));
        std::vector<HostTensor> predictions;
        const size_t size = latent.data.size();
        for (size_t i = 0; i < batch.size(); i++)
            predictions.push_back(unpack(all.data.data() + i * size, latent.shape, s.patch()));
        return predictions;
    }

private:
    Flux flux_;

    bool has_constant() const { return flux_.guidance || flux_.vector; }

    static bool used(const std::vector<int32_t> & ids) {
        for (int32_t id : ids) {
            if (id != 0) return true;
        }
        return false;
    }

    /// Axes: time, row, column and, in FLUX.2, text position. The picture has time 0, references have times
    /// of their own: 1, 2, … in Kontext, 10, 20, … in FLUX.2.
    Ids position_ids(int64_t text_length, const HostTensor & latent,
                     const std::vector<HostTensor> & references) const {
        const Settings & s = flux_.settings;
        Ids ids(s.axes.size(), std::vector<int32_t>(text_length, 0));
        if (s.flux2()) {
            for (int64_t i = 0; i < text_length; i++) ids[3][i] = static_cast<int32_t>(i);
        }
        auto add_picture = [&](const HostTensor & picture, int32_t time) {
            const int64_t columns = picture.shape[0] / s.patch(), rows = picture.shape[1] / s.patch();
            for (int64_t i = 0; i < rows * columns; i++) {
                ids[0].push_back(time);
                ids[1].push_back(static_cast<int32_t>(i / columns));
                ids[2].push_back(static_cast<int32_t>(i % columns));
                if (s.flux2()) ids[3].push_back(0);
            }
        };
        add_picture(latent, 0);
        int32_t time = 0;
        for (const HostTensor & reference : references) add_picture(reference, time += s.flux2() ? 10 : 1);
        return ids;
    }

    Positions position_inputs(GraphBuilder & graph, const Ids & ids) const {
        const Settings & s = flux_.settings;
        Positions positions;
        int64_t first = 0;
        for (size_t axis = 0; axis < ids.size(); axis++) {
            const Shape length = {static_cast<int64_t>(ids[axis].size())};
            positions.by_axis.push_back(
                used(ids[axis]) ? graph.input(positions_name(axis), length, GGML_TYPE_I32) : nullptr);
            positions.ropes.push_back({RopePairs::Neighbours, s.theta, s.axes[axis], first});
            first += s.axes[axis];
        }
        return positions;
    }

    /// Checks a latent or a reference: its channels, and sides that divide into patches.
    void require_patches(const HostTensor & picture, const std::string & what) const {
        const Settings & s = flux_.settings;
        require_latent(picture, s.latent_channels(), "flux");
        if (picture.shape[0] % s.patch() != 0 || picture.shape[1] % s.patch() != 0) {
            fail(ErrorCode::InvalidArgument, "flux: %s has shape %s, expected even height and width",
                 what.c_str(), to_text(picture.shape).c_str());
        }
    }

    void check(const ConditioningInputs & inputs) const {
        const Settings & s = flux_.settings;
        const int64_t tokens = inputs.context.shape.size() == 2 ? inputs.context.shape[1] : 1;
        require_shape(inputs.context, {s.context_width, tokens}, "flux: the context");
        if (flux_.vector.has_value() != inputs.vector.has_value()) {
            fail(ErrorCode::InvalidArgument, "flux: this network %s a conditioning vector",
                 flux_.vector ? "needs" : "takes no");
        }
        if (inputs.vector) require_shape(*inputs.vector, {s.vector_width}, "flux: the conditioning vector");
        if (flux_.guidance.has_value() != inputs.guidance.has_value()) {
            fail(ErrorCode::InvalidArgument, "flux: this network %s distilled guidance",
                 flux_.guidance ? "needs" : "takes no");
        }
        if (inputs.concat) fail(ErrorCode::InvalidArgument, "flux: this network takes no extra channels");
        for (const HostTensor & reference : inputs.references) require_patches(reference, "a reference");
    }
};

}  // namespace

std::unique_ptr<DenoiserNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<FluxNetwork>(config, weights);
}

}  // namespace imageforge::flux
