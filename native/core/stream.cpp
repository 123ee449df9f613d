#include "core/stream.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/error.h"

namespace imageforge {

namespace {

struct Stretch {
    int begin = 0, end = 0;  // nodes of the graph
    uint64_t bytes = 0;      // of its weights
    bool stays = false;
    bool wanted = false;  // it has been read ahead
    std::vector<const ggml_tensor *> weights;
    /// Tables of which a few rows are read: no reason to read them ahead.
    std::vector<const ggml_tensor *> tables;
};

const ggml_tensor * root_of(const ggml_tensor * tensor) {
    while (tensor->view_src) tensor = tensor->view_src;
    return tensor;
}

bool contains(const std::vector<const ggml_tensor *> & list, const ggml_tensor * tensor) {
    return std::find(list.begin(), list.end(), tensor) != list.end();
}

/// Mapped weights of one node that aren't in the stretch yet. They stay together, however large they are: all
/// of them are read when the node computes.
std::vector<const ggml_tensor *> new_weights(const ggml_tensor * node, const WeightStore & store,
                                             Stretch & stretch) {
    std::vector<const ggml_tensor *> found;
    for (const ggml_tensor * source : node->src) {
        if (!source) continue;
        const ggml_tensor * weight = root_of(source);
        if (!weight->data || !store.is_mapped(weight)) continue;
        if (node->op == GGML_OP_GET_ROWS)
            stretch.tables.push_back(weight);
        else if (!contains(stretch.weights, weight) && !contains(found, weight))
            found.push_back(weight);
    }
    return found;
}

uint64_t bytes_of(const std::vector<const ggml_tensor *> & tensors) {
    uint64_t bytes = 0;
    for (const ggml_tensor * tensor : tensors) bytes += ggml_nbytes(tensor);
    return bytes;
}

std::vector<Stretch> cut(ggml_cgraph * graph, const WeightStore & store, uint64_t most) {
    std::vector<Stretch> stretches(1);
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const ggml_tensor * node = ggml_graph_node(graph, i);
        auto weights = new_weights(node, store, stretches.back());
        const uint64_t before = stretches.back().bytes;
        if (!weights.empty() && before > 0 && before + bytes_of(weights) > most) {
            stretches.emplace_back();
            stretches.back().begin = i;
            weights = new_weights(node, store, stretches.back());
        }
        Stretch & last = stretches.back();
        last.weights.insert(last.weights.end(), weights.begin(), weights.end());
        last.bytes += bytes_of(weights);
        last.end = i + 1;
    }
    return stretches;
}

/// Spread evenly: while those that stay compute, the next one that doesn't is read. The same in every graph
/// of a network, since its weights come in the same order.
void choose_staying(std::vector<Stretch> & stretches, double share) {
    double room = 0;
    for (Stretch & stretch : stretches) {
        const double bytes = static_cast<double>(stretch.bytes);
        room += share * bytes;
        stretch.stays = bytes <= room;
        if (stretch.stays) room -= bytes;
    }
}

void prefetch(Stretch & stretch, const WeightStore & store) {
    if (stretch.wanted) return;
    for (const ggml_tensor * weight : stretch.weights) store.prefetch(weight);
    stretch.wanted = true;
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
                             const Streaming & streaming) {
    std::vector<Stretch> stretches = cut(graph, store, streaming.most);
    choose_staying(stretches, streaming.keep);
    for (size_t i = 0; i < stretches.size(); ++i) {
        // The next one, and the next that doesn't stay: those between are in memory after the first run.
        size_t next = i + 1;
        if (next < stretches.size()) prefetch(stretches[next], store);
        while (next < stretches.size() && stretches[next].stays) ++next;
        if (next < stretches.size()) prefetch(stretches[next], store);
        const ggml_status status = compute_part(backend, graph, stretches[i]);
        if (status != GGML_STATUS_SUCCESS) return status;
        for (const ggml_tensor * table : stretches[i].tables) store.give_back(table);
        if (stretches[i].stays) continue;
        for (const ggml_tensor * weight : stretches[i].weights)
            streaming.keep > 0 ? store.drop(weight) : store.give_back(weight);
    }
    return GGML_STATUS_SUCCESS;
}

}  // namespace imageforge
