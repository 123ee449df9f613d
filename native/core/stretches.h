// A graph cut into stretches of consecutive nodes, each with a bounded amount of the weights that come and
// go.
#pragma once
#include <ggml-backend.h>

#include <memory>
#include <vector>

#include "core/weights.h"

namespace imageforge {

struct Stretch {
    int begin = 0, end = 0;        // nodes of the graph
    uint64_t bytes = 0;            // of its weights, in memory
    std::vector<Tensor> mapped;    // weights that are used where they lie in a file
    std::vector<Tensor> streamed;  // weights that have to be brought
    std::vector<Tensor> tables;    // mapped, but only a few rows are read: no reason to read them ahead
    /// Nodes that take a few rows of a streamed table, which needn't be brought for that: the host can read
    /// them. They come before all other nodes, so that their row numbers are known by then.
    std::vector<Tensor> lookups;
};

/// Weights that one operation reads stay together, however large they are; otherwise a stretch has `most`
/// bytes of them. There is at least one stretch.
std::vector<Stretch> cut(ggml_cgraph * graph, const WeightStore & store, uint64_t most);

/// True for what becomes one of a stretch's lookups.
bool is_lookup(const ggml_tensor * node, const WeightStore & store);

/// All streamed weights that the graph reads, each once.
std::vector<Tensor> streamed_weights(ggml_cgraph * graph, const WeightStore & store);

/// A stretch, without its lookups, as a graph of its own. It must live until that is computed.
class Part {
public:
    Part(ggml_cgraph * graph, const Stretch & stretch);
    ggml_cgraph * graph() const { return graph_; }

private:
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> context_;
    ggml_cgraph * graph_;
};

}  // namespace imageforge
