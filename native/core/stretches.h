// A graph cut into stretches of consecutive nodes, each with a bounded amount of streamed weights.
#pragma once
#include <ggml-backend.h>

#include <memory>
#include <vector>

#include "core/weights.h"

namespace imageforge {

struct Stretch {
    int begin = 0, end = 0;        // nodes of the graph
    uint64_t bytes = 0;            // of its weights in memory
    std::vector<Tensor> mapped;    // weights that are used where they lie in a file
    std::vector<Tensor> streamed;  // weights that have to be brought
    std::vector<Tensor> tables;    // mapped, but only a few rows are read, so reading ahead doesn't pay
    /// Nodes that look up a few rows of a streamed table. The host reads those rows, and the table stays out
    /// of memory. Lookups come before all other nodes, so that their row numbers are known.
    std::vector<Tensor> lookups;
};

/// Cuts a graph into stretches of at most `most` bytes of weights. The weights of one operation stay
/// together, however large they are. There is at least one stretch.
std::vector<Stretch> cut(ggml_cgraph * graph, const WeightStore & store, uint64_t most);

/// True for a node that becomes one of a stretch's lookups.
bool is_lookup(const ggml_tensor * node, const WeightStore & store);

/// All streamed weights that the graph reads, each once.
std::vector<Tensor> streamed_weights(ggml_cgraph * graph, const WeightStore & store);

/// A stretch without its lookups as a graph of its own. The stretch must live until that graph is computed.
class Part {
public:
    Part(ggml_cgraph * graph, const Stretch & stretch);
    ggml_cgraph * graph() const { return graph_; }

private:
    std::unique_ptr<ggml_context, void (*)(ggml_context *)> context_;
    ggml_cgraph * graph_;
};

}  // namespace imageforge
