// Runs T5's encoder as a text encoder: one row of tokens, any of its layers. FLUX.1 passes no mask, so
// padding takes part in attention.
#include <algorithm>

#include "core/error.h"
#include "models/t5/t5.h"
#include "models/tokens.h"

namespace imageforge::t5 {

namespace {

constexpr size_t max_tokens = 4096;  // scores take tokens² values for each head

class T5Network : public TextEncoderNetwork {
public:
    T5Network(const Config & config, Weights w) : encoder_(Settings(config), w) {}

    Encoding encode(Runner & runner, const std::vector<int32_t> & tokens,
                    const EncodeOptions & options) override {
        const Settings & s = encoder_.settings;
        const std::vector<int> layers = requested_layers(options, s.layers, "t5");
        require_tokens(tokens, s.vocab, max_tokens, "t5");
        refuse_embeddings(options, "t5");
        if (!options.mask.empty()) fail(ErrorCode::InvalidArgument, "t5: this network takes no mask");
        const int64_t length = static_cast<int64_t>(tokens.size());
        const int last = *std::max_element(layers.begin(), layers.end());
        auto build = [&](GraphBuilder & graph) {
            const Ctx & ctx = graph.ctx();
            Tensor ids = graph.input("ids", {length}, GGML_TYPE_I32);
            Tensor buckets = graph.input("buckets", {length * length}, GGML_TYPE_I32);
            const std::vector<Tensor> states = encoder_.forward(ctx, ids, buckets, last);
            for (int layer : layers) {
                graph.output(layer_name(layer),
                             options.norm ? encoder_.final_norm.forward(ctx, states[layer]) : states[layer]);
            }
        };
        std::vector<int32_t> buckets;
        buckets.reserve(length * length);
        for (int64_t query = 0; query < length; query++) {
            for (int64_t key = 0; key < length; key++) buckets.push_back(bucket_of(key - query, s));
        }
        Outputs outputs = runner.run(encode_key(tokens.size(), layers, options.norm), build,
                                     {{"ids", tokens}, {"buckets", buckets}});
        return take_layers(outputs, layers, s.width, length);
    }

private:
    Encoder encoder_;
};

}  // namespace

std::unique_ptr<TextEncoderNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<T5Network>(config, weights);
}

}  // namespace imageforge::t5
