// CLIP as a text encoder: one row of tokens, any of its layers, and the pooled state at the end token.
#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "models/clip/clip.h"
#include "nn/ops.h"

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
        const Learned learned = take_learned(tokens, options);
        auto build = [&](GraphBuilder & graph) {
            const Ctx & ctx = graph.ctx();
            const Shape length = {static_cast<int64_t>(tokens.size())};
            Tensor ids = graph.input("ids", length, GGML_TYPE_I32);
            Tensor places = graph.input("places", length, GGML_TYPE_I32);
            Tensor end = graph.input("end", {1}, GGML_TYPE_I32);
            Tensor vectors = encoder_.embed(ctx, ids);
            if (learned.any) {
                Tensor known = graph.input("known", {1, length[0]});
                Tensor rows = graph.input("learned", {encoder_.settings.width, length[0]});
                vectors = add(ctx, ggml_mul(ctx.graph, vectors, known), rows);
            }
            const std::vector<Tensor> states = encoder_.forward(ctx, vectors, places);
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
        Feeds feeds = {{"ids", learned.ids}, {"places", places}, {"end", end}};
        if (learned.any) {
            feeds.emplace("known", learned.known);
            feeds.emplace("learned", learned.rows);
        }
        Outputs outputs = runner.run(
            key(tokens, layers, options.norm, project) + (learned.any ? " learned" : ""), build, feeds);

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
    /// Tokens beyond the vocabulary stand for learned vectors (textual inversion, Gal et al. 2022). The token
    /// table keeps its type and place: such tokens look up token 0, and the learned vectors replace the
    /// result.
    struct Learned {
        bool any = false;
        std::vector<int32_t> ids;  // of the vocabulary
        std::vector<float> known;  // 1 where the table's vector is used
        std::vector<float> rows;   // [width, tokens], the learned vectors, else zeros
    };

    Learned take_learned(const std::vector<int32_t> & tokens, const EncodeOptions & options) const {
        const int64_t width = encoder_.settings.width, vocab = encoder_.settings.vocab;
        Learned learned{false, tokens, {}, {}};
        for (size_t i = 0; i < tokens.size(); i++) {
            if (tokens[i] < vocab) continue;
            if (!learned.any) {
                learned.any = true;
                learned.known.assign(tokens.size(), 1);
                learned.rows.assign(tokens.size() * width, 0);
            }
            const auto from = options.embeddings->data.begin() + (tokens[i] - vocab) * width;
            std::copy(from, from + width, learned.rows.begin() + i * width);
            learned.ids[i] = 0;
            learned.known[i] = 0;
        }
        return learned;
    }

    static std::string name_of(int layer) { return "hidden " + std::to_string(layer); }

    static std::string key(const std::vector<int32_t> & tokens, const std::vector<int> & layers, bool norm,
                           bool project) {
        std::string text = "encode " + std::to_string(tokens.size()) + " layers";
        for (int layer : layers) text += " " + std::to_string(layer);
        return text + (norm ? " norm" : "") + (project ? " project" : "");
    }

    /// The position of the pooled state: the first end token, or the last token where there is none.
    int32_t end_of(const std::vector<int32_t> & tokens) const {
        const auto end =
            std::find(tokens.begin(), tokens.end(), static_cast<int32_t>(encoder_.settings.end_token));
        return static_cast<int32_t>(end == tokens.end() ? tokens.size() - 1 : end - tokens.begin());
    }

    int64_t count_embeddings(const HostTensor & embeddings) const {
        const int64_t width = encoder_.settings.width;
        if (embeddings.shape.size() != 2 || embeddings.shape[0] != width) {
            fail(ErrorCode::InvalidArgument, "clip: embeddings are %s (fastest first), expected [%lld, n]",
                 to_string(embeddings.shape).c_str(), static_cast<long long>(width));
        }
        return embeddings.shape[1];
    }

    void check(const std::vector<int32_t> & tokens, const EncodeOptions & options) const {
        const Settings & s = encoder_.settings;
        if (tokens.empty() || static_cast<int64_t>(tokens.size()) > s.positions) {
            fail(ErrorCode::InvalidArgument, "clip: %zu tokens, expected 1 to %lld", tokens.size(),
                 static_cast<long long>(s.positions));
        }
        const int64_t more = options.embeddings ? count_embeddings(*options.embeddings) : 0;
        for (int32_t token : tokens) {
            if (token < 0 || token >= s.vocab + more) {
                fail(ErrorCode::InvalidArgument,
                     "clip: token %d lies outside the vocabulary of %lld and %lld embeddings", token,
                     static_cast<long long>(s.vocab), static_cast<long long>(more));
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
