// A language model as a text encoder: takes one row of tokens, padded on either side, and returns the states
// of any layers.
#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "models/causal_lm/causal_lm.h"
#include "models/tokens.h"

namespace imageforge::causal_lm {

namespace {

constexpr size_t max_tokens = 4096;
// Finite, since a block of keys that are all hidden would turn an online softmax into NaN.
constexpr float hidden = -1e30f;

/// Expands the padding mask: each token attends to the tokens up to its own position that aren't padding.
struct Visibility {
    std::vector<float> mask;    // [keys, queries]
    std::vector<float> seeing;  // by query, 0 or 1; a token that may attend to none attends to itself, and
                                // its result is zeroed
    bool all_see = true;

    Visibility(size_t length, const std::vector<uint8_t> & counts) : mask(length * length, hidden) {
        bool any = false;
        for (size_t query = 0; query < length; query++) {
            any = any || counts.empty() || counts[query];
            for (size_t key = 0; key <= query; key++) {
                if (counts.empty() || counts[key]) mask[query * length + key] = 0;
            }
            if (!any) mask[query * length + query] = 0;
            seeing.push_back(any ? 1.0f : 0.0f);
            all_see = all_see && any;
        }
    }
};

class CausalLmNetwork : public TextEncoderNetwork {
public:
    CausalLmNetwork(const Config & config, Weights w) : model_(Settings(config), w) {}

    Encoding encode(Runner & runner, const std::vector<int32_t> & tokens,
                    const EncodeOptions & options) override {
        const Settings & s = model_.settings;
        check(tokens, options);
        const std::vector<int> layers = requested_layers(options, s.layers, "causal_lm");
        const int64_t length = static_cast<int64_t>(tokens.size());
        const int last = *std::max_element(layers.begin(), layers.end());
        const Visibility visibility(tokens.size(), options.mask);
        auto build = [&](GraphBuilder & graph) {
            Tensor ids = graph.input("ids", {length}, GGML_TYPE_I32);
            Sight sight;
            sight.positions = graph.input("positions", {length}, GGML_TYPE_I32);
            sight.mask = graph.input("mask", {length, length});
            sight.seeing = visibility.all_see ? nullptr : graph.input("seeing", {1, length});
            const std::vector<Tensor> states = model_.forward(graph.ctx(), ids, sight, last);
            for (int layer : layers) graph.output(layer_name(layer), states[layer]);
        };
        std::vector<int32_t> positions(tokens.size());
        std::iota(positions.begin(), positions.end(), 0);
        Feeds feeds = {{"ids", tokens}, {"positions", positions}, {"mask", visibility.mask}};
        if (!visibility.all_see) feeds["seeing"] = visibility.seeing;
        const std::string key =
            encode_key(tokens.size(), layers, false) + (visibility.all_see ? "" : " padded in front");
        return take_layers(runner.run(key, build, feeds), layers, s.width, length);
    }

private:
    CausalLm model_;

    void check(const std::vector<int32_t> & tokens, const EncodeOptions & options) const {
        require_tokens(tokens, model_.settings.vocab, max_tokens, "causal_lm");
        refuse_embeddings(options, "causal_lm");
        if (options.norm)
            fail(ErrorCode::InvalidArgument,
                 "causal_lm: this network has no final norm; ask for norm: false");
        if (!options.mask.empty() && options.mask.size() != tokens.size()) {
            fail(ErrorCode::InvalidArgument,
                 "causal_lm: the mask has %zu values, expected one for each of %zu tokens",
                 options.mask.size(), tokens.size());
        }
    }
};

}  // namespace

std::unique_ptr<TextEncoderNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<CausalLmNetwork>(config, weights);
}

}  // namespace imageforge::causal_lm
