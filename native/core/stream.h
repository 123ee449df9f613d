// Computes a graph whose weights needn't all be in memory. The graph is cut into stretches, and while one
// computes, the next one's weights are brought in. Weights that are used in place in a mapped file are read
// ahead by the system, and leave memory after their stretch unless there is room to keep them. All others
// (every weight of a device with memory of its own, the converted ones on the CPU) are copied into two slots
// in turn.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/stretches.h"
#include "core/weights.h"

namespace imageforge {

/// Most bytes of weights in a stretch (a single tensor may have more). About a block of FLUX in 4 bits, which
/// a CPU computes for seconds while the next weights are read.
constexpr uint64_t stretch_bytes = uint64_t{64} << 20;

struct Streaming {
    uint64_t most = stretch_bytes;  // weights of a stretch
    /// Share of the weights that stay in memory, 0 … 1. The rest then leaves the file cache too: it is used
    /// as often as the kept weights and would push them out.
    double keep = 0;
};

/// Memory of the device for the weights of one stretch.
class Slot {
public:
    explicit Slot(const WeightStore & store) : store_(store) {}
    ~Slot() { resize(nullptr); }
    Slot(const Slot &) = delete;

    uint64_t size() const { return buffer_ ? ggml_backend_buffer_get_size(buffer_.get()) : 0; }
    /// Empty afterwards.
    void resize(std::shared_ptr<ggml_backend_buffer> buffer);
    /// Replaces its weights with these.
    void fill(const std::vector<Tensor> & weights);
    bool holds(const ggml_tensor * tensor) const { return buffer_ && tensor->buffer == buffer_.get(); }

private:
    const WeightStore & store_;
    std::shared_ptr<ggml_backend_buffer> buffer_;
    std::vector<Tensor> guests_;
};

/// The weights of one network as its graphs see them: present whenever they are needed.
class WeightStream {
public:
    /// The store was loaded with the same share to keep, and must outlive this.
    WeightStream(Device & device, const WeightStore & store, const Streaming & streaming);

    /// Computes the graph part by part, with the results of the whole. `compute` may return before its part
    /// is done. `purpose` as in Device::require_memory(). Throws OUT_OF_MEMORY before anything is computed.
    using Compute = std::function<ggml_status(ggml_cgraph *)>;
    ggml_status compute(ggml_cgraph * graph, const Compute & compute, const std::string & purpose);

    /// For a graph that can't be cut: brings in all its weights at once. They stay until compute() is called.
    void bring_all(ggml_cgraph * graph, const std::string & purpose);

    /// True when compute() reads the node's rows on the host, so that the device needn't be able to.
    bool looks_up(const ggml_tensor * node) const { return is_lookup(node, store_); }

    /// Bytes of memory for weights that compute() would add.
    uint64_t missing(ggml_cgraph * graph) const;

private:
    using Sizes = std::array<uint64_t, 2>;

    uint64_t bytes_of(const std::vector<Tensor> & weights) const;
    Sizes sizes_of(const std::vector<Stretch> & stretches) const;
    void reserve(const Sizes & sizes, const std::string & purpose);
    void bring(const Stretch & stretch, Slot & slot, ggml_cgraph * graph);
    void look_up(Tensor node) const;
    void dismiss(const Stretch & stretch, bool stays) const;

    Device & device_;
    const WeightStore & store_;
    Streaming streaming_;
    std::array<Slot, 2> slots_;
};

}  // namespace imageforge
