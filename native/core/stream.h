// Computing a graph whose weights needn't all be in memory: in stretches, while one computes the next one's
// weights come. Those that are used where they lie in a mapped file are read ahead by the system, and go with
// their stretch, unless there is room for them until the next run. The others (all of them where the device
// has memory of its own, on the CPU those that are converted) are copied into two slots in turn.
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

/// Weights of a stretch, at most (a single tensor may have more). About a block of FLUX in 4 bits: enough to
/// compute for seconds on a CPU while the next ones are read.
constexpr uint64_t stretch_bytes = uint64_t{64} << 20;

struct Streaming {
    uint64_t most = stretch_bytes;  // weights of a stretch
    /// Share of the weights that stay in memory, 0 … 1. What doesn't stay then leaves the system's file cache
    /// as well: there it would push out what does, since all of it is used equally often.
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
    /// Brings these in the place of those that are here.
    void fill(const std::vector<Tensor> & weights);
    bool holds(const ggml_tensor * tensor) const { return buffer_ && tensor->buffer == buffer_.get(); }

private:
    const WeightStore & store_;
    std::shared_ptr<ggml_backend_buffer> buffer_;
    std::vector<Tensor> guests_;
};

/// The weights of one network as its graphs see them: they are there when they are computed with.
class WeightStream {
public:
    /// The store was loaded with the same share to keep, and outlives this.
    WeightStream(Device & device, const WeightStore & store, const Streaming & streaming);

    /// The same results as those of the whole graph. `compute` may return before a part is computed.
    /// `purpose` as in Device::require_memory(). Throws OUT_OF_MEMORY, before anything is computed.
    using Compute = std::function<ggml_status(ggml_cgraph *)>;
    ggml_status compute(ggml_cgraph * graph, const Compute & compute, const std::string & purpose);

    /// For a graph that can't be cut: brings all that it reads at once. It stays until compute() is called.
    void bring_all(ggml_cgraph * graph, const std::string & purpose);

    /// True when compute() reads the node's rows on the host: the device needn't be able to.
    bool looks_up(const ggml_tensor * node) const { return is_lookup(node, store_); }

    /// Bytes that compute() would take for the weights beside what it holds.
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
