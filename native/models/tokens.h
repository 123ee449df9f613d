// Shared by the text encoders: checks of the request, and names and results by layer.
#pragma once
#include <string>
#include <vector>

#include "core/error.h"
#include "core/network.h"

namespace imageforge {

/// INVALID_ARGUMENT unless there are 1 to `most` tokens, all in the vocabulary.
inline void require_tokens(const std::vector<int32_t> & tokens, int64_t vocab, size_t most,
                           const char * network) {
    if (tokens.empty() || tokens.size() > most)
        fail(ErrorCode::InvalidArgument, "%s: %zu tokens, expected 1 to %zu", network, tokens.size(), most);
    for (int32_t token : tokens) {
        if (token >= 0 && token < vocab) continue;
        fail(ErrorCode::InvalidArgument, "%s: token %d lies outside the vocabulary of %lld", network, token,
             static_cast<long long>(vocab));
    }
}

/// INVALID_ARGUMENT where textual-inversion vectors are passed to a network that takes none.
inline void refuse_embeddings(const EncodeOptions & options, const char * network) {
    if (options.embeddings)
        fail(ErrorCode::InvalidArgument, "%s: this network takes no embeddings of textual inversion",
             network);
}

/// The requested layers; by default the last.
inline std::vector<int> requested_layers(const EncodeOptions & options, int64_t last, const char * network) {
    if (options.layers.empty()) return {static_cast<int>(last)};
    for (int layer : options.layers) {
        if (layer >= 0 && layer <= last) continue;
        fail(ErrorCode::InvalidArgument, "%s: layer %d was asked for, the network has %lld", network, layer,
             static_cast<long long>(last));
    }
    return options.layers;
}

inline std::string layer_name(int layer) { return "hidden " + std::to_string(layer); }

inline std::string encode_key(size_t tokens, const std::vector<int> & layers, bool norm) {
    std::string text = "encode " + std::to_string(tokens) + " layers";
    for (int layer : layers) text += " " + std::to_string(layer);
    return text + (norm ? " norm" : "");
}

/// The outputs named by layer_name(), in the order of `layers`.
inline Encoding take_layers(const Outputs & outputs, const std::vector<int> & layers, int64_t width,
                            int64_t tokens) {
    Encoding encoding;
    for (int layer : layers) encoding.hidden.push_back({{width, tokens}, outputs.at(layer_name(layer)).data});
    return encoding;
}

}  // namespace imageforge
