#include "models/unet/prompt.h"

#include "core/error.h"
#include "models/shapes.h"

namespace imageforge::unet {

static std::string keys_name(size_t i) { return "keys " + std::to_string(i); }
static std::string values_name(size_t i) { return "values " + std::to_string(i); }

PromptReader::PromptReader(const Encoder & encoder, CrossAttentions attentions, std::string network)
    : encoder_(encoder), attentions_(std::move(attentions)), network_(std::move(network)) {}

std::unique_ptr<Conditioning> PromptReader::read(Runner & runner, ConditioningInputs inputs) const {
    check(inputs);
    const Settings & s = encoder_.settings;
    const int64_t tokens = inputs.context.shape[1];
    auto build = [&](GraphBuilder & graph) {
        Tensor context = graph.input("context", {s.context_width, tokens, 1});
        for (size_t i = 0; i < attentions_.size(); i++) {
            const PromptState state = attentions_[i]->read(graph.ctx(), context);
            graph.output(keys_name(i), state.keys);
            graph.output(values_name(i), state.values);
        }
        if (!encoder_.label) return;
        Tensor vector = graph.input("vector", {s.vector_width, 1});
        graph.output("label", encoder_.label->forward(graph.ctx(), vector));
    };
    Feeds feeds = {{"context", inputs.context}};
    if (encoder_.label) feeds["vector"] = *inputs.vector;
    auto conditioning = std::make_unique<Conditioning>();
    conditioning->kept = runner.run_keep("condition " + std::to_string(tokens), build, feeds);
    conditioning->shape = std::to_string(tokens);
    conditioning->inputs = std::move(inputs);
    return conditioning;
}

PromptReader::Inputs PromptReader::inputs(GraphBuilder & graph, int64_t tokens, int64_t count) const {
    std::vector<PromptState> states;
    for (const CrossAttention * attention : attentions_) {
        const size_t i = states.size();
        states.push_back({graph.input(keys_name(i), {attention->width, tokens, count}),
                          graph.input(values_name(i), {attention->width, tokens, count})});
    }
    Tensor label = encoder_.label ? graph.input("label", {encoder_.settings.time_width(), count}) : nullptr;
    return {Prompt(std::move(states)), label};
}

void PromptReader::feed(Feeds & feeds, const Conditioning & conditioning) const {
    const auto add = [&](const std::string & name) { feeds[name].add(conditioning.kept.at(name)); };
    for (size_t i = 0; i < attentions_.size(); i++) {
        add(keys_name(i));
        add(values_name(i));
    }
    if (encoder_.label) add("label");
}

void PromptReader::check(const ConditioningInputs & inputs) const {
    const Settings & s = encoder_.settings;
    const char * network = network_.c_str();
    const int64_t tokens = inputs.context.shape.size() == 2 ? inputs.context.shape[1] : 1;
    require_shape(inputs.context, {s.context_width, tokens}, network_ + ": the context");
    if (s.vector_width) {
        if (!inputs.vector)
            fail(ErrorCode::InvalidArgument, "%s: this network needs a conditioning vector", network);
        require_shape(*inputs.vector, {s.vector_width}, network_ + ": the conditioning vector");
    } else if (inputs.vector) {
        fail(ErrorCode::InvalidArgument, "%s: this network takes no conditioning vector", network);
    }
    if (inputs.guidance)
        fail(ErrorCode::InvalidArgument, "%s: this network takes no distilled guidance", network);
    if (!inputs.references.empty())
        fail(ErrorCode::InvalidArgument, "%s: this network takes no reference images", network);
}

}  // namespace imageforge::unet
