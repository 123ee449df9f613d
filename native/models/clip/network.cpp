// CLIP as a text encoder: one row of tokens, any of its layers, and the pooled state at the end token.
#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "models/clip/clip.h"

namespace imageforge::clip {

namespace {

class ClipNetwork : public TextEncoderNetwork {
public:
    ClipNetwork(const Config & config, Weights w) : encoder_(Settings(config), w) {}

    Encoding encode(Runner & runner, const std::vector<int32_t> & tokens,
                    const EncodeOptions & options) override {
        check(tokens, options);
        const std::vector<int> layers =
            options.layers.empty() ? std::vector<int>{last_layer()} : options.layers;
        const bool project = options.project && encoder_.projection;
        auto build = [&](GraphBuilder & graph) {
            const Ctx & ctx = graph.ctx();
            const Shape length = {static_cast<int64_t>(tokens.size())};
            Tensor ids = graph.input("ids", length, GGML_TYPE_I32);
            Tensor places = graph.input("places", length, GGML_TYPE_I32);
            Tensor end = graph.input("end", {1}, GGML_TYPE_I32);
            const std::vector<Tensor> states = encoder_.forward(ctx, ids, places);
            for (int layer : layers) {
                graph.output(name_of(layer),
                             options.norm ? encoder_.final_norm.forward(ctx, states[layer]) : states[layer]);
            }
            Tensor pooled = encoder_.final_norm.forward(ctx, ggml_get_rows(ctx.graph, states.back(), end));
            graph.output("pooled", project ? encoder_.projection->forward(ctx, pooled) : pooled);
        };
        std::vector<int32_t> places(tokens.size());
        std::iota(places.begin(), places.end(), 0);
        const std::vector<int32_t> end = {end_of(tokens)};
        Outputs outputs = runner.run(key(tokens, layers, options.norm, project), build,
                                     {{"ids", tokens}, {"places", places}, {"end", end}});

        Encoding encoding;
        const int64_t width = encoder_.settings.width;
        for (int layer : layers) {
            encoding.hidden.push_back(
                {{width, static_cast<int64_t>(tokens.size())}, outputs.at(name_of(layer)).data});
        }
        std::vector<float> & pooled = outputs.at("pooled").data;
        const int64_t pooled_width = static_cast<int64_t>(pooled.size());
        encoding.pooled = HostTensor{{pooled_width}, std::move(pooled)};
        return encoding;
    }

private:
    TextEncoder encoder_;

    int last_layer() const { return static_cast<int>(encoder_.settings.layers); }
    static std::string name_of(int layer) { return "hidden " + std::to_string(layer); }

    static std::string key(const std::vector<int32_t> & tokens, const std::vector<int> & layers, bool norm,
                           bool project) {
        std::string text = "encode " + std::to_string(tokens.size()) + " layers";
        for (int layer : layers) text += " " + std::to_string(layer);
        return text + (norm ? " norm" : "") + (project ? " project" : "");
    }

    /// Where the pooled state lies: the first end token, or the last token where there is none.
    int32_t end_of(const std::vector<int32_t> & tokens) const {
        const auto end =
            std::find(tokens.begin(), tokens.end(), static_cast<int32_t>(encoder_.settings.end_token));
        return static_cast<int32_t>(end == tokens.end() ? tokens.size() - 1 : end - tokens.begin());
    }

    void check(const std::vector<int32_t> & tokens, const EncodeOptions & options) const {
        const Settings & s = encoder_.settings;
        if (tokens.empty() || static_cast<int64_t>(tokens.size()) > s.positions) {
            fail(ErrorCode::InvalidArgument, "clip: %zu tokens, expected 1 to %lld", tokens.size(),
                 static_cast<long long>(s.positions));
        }
        for (int32_t token : tokens) {
            if (token < 0 || token >= s.vocab) {
                fail(ErrorCode::InvalidArgument, "clip: token %d lies outside the vocabulary of %lld", token,
                     static_cast<long long>(s.vocab));
            }
        }
        for (int layer : options.layers) {
            if (layer < 0 || layer > last_layer()) {
                fail(ErrorCode::InvalidArgument, "clip: layer %d was asked for, the network has %d", layer,
                     last_layer());
            }
        }
        if (!options.mask.empty()) fail(ErrorCode::InvalidArgument, "clip: this network takes no mask");
    }
};

}  // namespace

std::unique_ptr<TextEncoderNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<ClipNetwork>(config, weights);
}

}  // namespace imageforge::clip
