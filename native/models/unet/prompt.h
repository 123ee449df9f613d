// The part of a UNet or ControlNet that depends on the prompt alone, computed once for all steps: the keys
// and values of the cross-attentions, and the embedding of SDXL's vector.
#pragma once
#include "core/network.h"
#include "models/unet/encoder.h"

namespace imageforge::unet {

class PromptReader {
public:
    /// `network` is its name in messages. The encoder and the attentions must outlive this.
    PromptReader(const Encoder & encoder, CrossAttentions attentions, std::string network);

    /// INVALID_ARGUMENT where the inputs don't suit the network.
    std::unique_ptr<Conditioning> read(Runner & runner, ConditioningInputs inputs) const;

    /// The kept tensors as inputs of a step's graph for `count` conditionings.
    struct Inputs {
        Prompt prompt;
        Tensor label;  // [time_width, count], nullptr without one
    };
    Inputs inputs(GraphBuilder & graph, int64_t tokens, int64_t count) const;
    void feed(Feeds & feeds, const Conditioning & conditioning) const;

private:
    void check(const ConditioningInputs & inputs) const;

    const Encoder & encoder_;
    CrossAttentions attentions_;
    std::string network_;
};

}  // namespace imageforge::unet
