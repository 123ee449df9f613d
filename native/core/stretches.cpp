#include "core/stretches.h"

#include <algorithm>

#include "core/error.h"

namespace imageforge {

namespace {

Tensor root_of(Tensor tensor) {
    while (tensor->view_src) tensor = tensor->view_src;
    return tensor;
}

bool contains(const std::vector<Tensor> & list, const ggml_tensor * tensor) {
    return std::find(list.begin(), list.end(), tensor) != list.end();
}

/// Streamed weights of the node that aren't in the stretch yet.
std::vector<Tensor> new_weights(const ggml_tensor * node, const WeightStore & store,
                                const Stretch & stretch) {
    std::vector<Tensor> found;
    for (Tensor source : node->src) {
        if (!source) continue;
        const Tensor weight = root_of(source);
        const bool mapped = store.is_mapped(weight);
        if (mapped && node->op == GGML_OP_GET_ROWS) continue;
        if (!mapped && !store.is_streamed(weight)) continue;
        if (!contains(mapped ? stretch.mapped : stretch.streamed, weight) && !contains(found, weight))
            found.push_back(weight);
    }
    return found;
}

uint64_t bytes_of(const std::vector<Tensor> & tensors) {
    uint64_t bytes = 0;
    for (const ggml_tensor * tensor : tensors) bytes += ggml_nbytes(tensor);
    return bytes;
}

}  // namespace

bool is_lookup(const ggml_tensor * node, const WeightStore & store) {
    // For a small table, or for many rows, bringing the whole table is faster.
    return node->op == GGML_OP_GET_ROWS && store.is_streamed(node->src[0]) && ggml_is_matrix(node->src[0]) &&
           ggml_is_contiguous(node->src[1]) && ggml_nbytes(node) < ggml_nbytes(node->src[0]);
}

std::vector<Stretch> cut(ggml_cgraph * graph, const WeightStore & store, uint64_t most) {
    std::vector<Stretch> stretches(1);
    const auto cut_before = [&](int node) {
        stretches.emplace_back();
        stretches.back().begin = stretches.back().end = node;
    };
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const Tensor node = ggml_graph_node(graph, i);
        if (is_lookup(node, store)) {
            const Stretch & last = stretches.back();
            if (last.begin + static_cast<int>(last.lookups.size()) < i) cut_before(i);
            stretches.back().lookups.push_back(node);
        } else {
            auto weights = new_weights(node, store, stretches.back());
            const uint64_t before = stretches.back().bytes;
            if (!weights.empty() && before > 0 && before + bytes_of(weights) > most) {
                cut_before(i);
                weights = new_weights(node, store, stretches.back());
            }
            Stretch & last = stretches.back();
            last.bytes += bytes_of(weights);
            for (const Tensor weight : weights)
                (store.is_mapped(weight) ? last.mapped : last.streamed).push_back(weight);
            if (node->op == GGML_OP_GET_ROWS && store.is_mapped(root_of(node->src[0])))
                last.tables.push_back(root_of(node->src[0]));
        }
        stretches.back().end = i + 1;
    }
    return stretches;
}

std::vector<Tensor> streamed_weights(ggml_cgraph * graph, const WeightStore & store) {
    std::vector<Tensor> weights;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i)
        for (Tensor source : ggml_graph_node(graph, i)->src)
            if (source && store.is_streamed(root_of(source)) && !contains(weights, root_of(source)))
                weights.push_back(root_of(source));
    return weights;
}

Part::Part(ggml_cgraph * graph, const Stretch & stretch) : context_(nullptr, ggml_free) {
    const int begin = stretch.begin + static_cast<int>(stretch.lookups.size());
    const size_t count = static_cast<size_t>(std::max(1, stretch.end - begin));
    ggml_init_params params = {};
    params.mem_size = ggml_graph_overhead_custom(count, false) + 1024;
    params.no_alloc = true;
    context_.reset(ggml_init(params));
    if (!context_) fail(ErrorCode::OutOfMemory, "Not enough memory for a part of a graph.");
    graph_ = ggml_new_graph_custom(context_.get(), count, false);
    for (int i = begin; i < stretch.end; ++i) ggml_graph_add_node(graph_, ggml_graph_node(graph, i));
}

}  // namespace imageforge
