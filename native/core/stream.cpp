#include "core/stream.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/error.h"

namespace imageforge {

namespace {

struct Stretch {
    int begin = 0, end = 0;  // nodes of the graph
    std::vector<const ggml_tensor *> weights;
    /// Tables of which a few rows are read: no reason to read them ahead.
    std::vector<const ggml_tensor *> tables;
};

const ggml_tensor * root_of(const ggml_tensor * tensor) {
    while (tensor->view_src) tensor = tensor->view_src;
    return tensor;
}

std::vector<Stretch> cut(ggml_cgraph * graph, const WeightStore & store, uint64_t most) {
    std::vector<Stretch> stretches(1);
    uint64_t bytes = 0;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const ggml_tensor * node = ggml_graph_node(graph, i);
        for (const ggml_tensor * source : node->src) {
            if (!source) continue;
            const ggml_tensor * weight = root_of(source);
            if (!weight->data || !store.is_mapped(weight)) continue;
            if (node->op == GGML_OP_GET_ROWS) {
                stretches.back().tables.push_back(weight);
                continue;
            }
            std::vector<const ggml_tensor *> & own = stretches.back().weights;
            if (std::find(own.begin(), own.end(), weight) != own.end()) continue;
            if (bytes > 0 && bytes + ggml_nbytes(weight) > most) {
                stretches.emplace_back();
                stretches.back().begin = stretches.back().end = i;
                bytes = 0;
            }
            stretches.back().weights.push_back(weight);
            bytes += ggml_nbytes(weight);
        }
        stretches.back().end = i + 1;
    }
    return stretches;
}

ggml_status compute_part(ggml_backend_t backend, ggml_cgraph * graph, const Stretch & stretch) {
    const size_t count = static_cast<size_t>(stretch.end - stretch.begin);
    if (count == 0) return GGML_STATUS_SUCCESS;
    ggml_init_params params = {};
    params.mem_size = ggml_graph_overhead_custom(count, false) + 1024;
    params.no_alloc = true;
    const std::unique_ptr<ggml_context, void (*)(ggml_context *)> context(ggml_init(params), ggml_free);
    if (!context) return GGML_STATUS_ALLOC_FAILED;
    ggml_cgraph * part = ggml_new_graph_custom(context.get(), count, false);
    for (int i = stretch.begin; i < stretch.end; ++i) ggml_graph_add_node(part, ggml_graph_node(graph, i));
    return ggml_backend_graph_compute(backend, part);
}

}  // namespace

ggml_status compute_streamed(ggml_backend_t backend, ggml_cgraph * graph, const WeightStore & store,
                             uint64_t most) {
    const std::vector<Stretch> stretches = cut(graph, store, most);
    for (size_t i = 0; i < stretches.size(); ++i) {
        if (i + 1 < stretches.size())
            for (const ggml_tensor * weight : stretches[i + 1].weights) store.prefetch(weight);
        const ggml_status status = compute_part(backend, graph, stretches[i]);
        if (status != GGML_STATUS_SUCCESS) return status;
        for (const ggml_tensor * weight : stretches[i].weights) store.give_back(weight);
        for (const ggml_tensor * table : stretches[i].tables) store.give_back(table);
    }
    return GGML_STATUS_SUCCESS;
}

}  // namespace imageforge
