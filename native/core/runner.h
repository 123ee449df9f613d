// Runs graphs of one network: built once for each key (input shapes), cached, measured before anything is
// allocated, computed in the device's shared compute buffer, stopped by the device's abort flag.
#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/device.h"
#include "core/device_tensors.h"
#include "core/graph.h"
#include "core/profile.h"
#include "core/stream.h"
#include "core/weights.h"

namespace imageforge {

/// F32 values on the host; shape in ggml order (fastest first).
struct HostTensor {
    Shape shape;
    std::vector<float> data;
};

int64_t element_count(const Shape & shape);

/// The values of a graph's input: one piece, or several that are concatenated (a batch).
class Feed {
public:
    Feed(const HostTensor & tensor) { add(tensor); }
    Feed(const std::vector<float> & values) { add(values.data(), values.size() * sizeof(float)); }
    Feed(const std::vector<int32_t> & values) { add(values.data(), values.size() * sizeof(int32_t)); }
    Feed() = default;

    /// The pieces are read when the graph runs and must live until then.
    Feed & add(const HostTensor & tensor) {
        return add(tensor.data.data(), tensor.data.size() * sizeof(float));
    }
    Feed & add(const void * data, size_t bytes);
    Feed & add(Tensor device_tensor);

private:
    friend class Runner;
    struct Piece {
        const void * data;
        size_t bytes;
        Tensor tensor;
    };
    std::vector<Piece> pieces_;
};

using Feeds = std::map<std::string, Feed>;
using Outputs = std::map<std::string, HostTensor>;

/// A graph under construction.
class GraphBuilder {
public:
    explicit GraphBuilder(Ctx ctx) : ctx_(ctx) {}
    Ctx & ctx() { return ctx_; }

    /// A tensor that is filled before each run from the feed of the same name.
    Tensor input(const std::string & name, const Shape & shape, ggml_type type = GGML_TYPE_F32);
    /// Marks an output. It is made contiguous, then fetched as F32 or kept on the device as it is.
    void output(const std::string & name, Tensor tensor);

private:
    friend class Runner;
    Ctx ctx_;
    std::map<std::string, Tensor> inputs_, outputs_;
};

using Build = std::function<void(GraphBuilder &)>;

class Runner {
public:
    Runner(Device & device, bool flash_attention);
    ~Runner();
    Runner(const Runner &) = delete;

    /// Runs the graph `key`, which `build` builds if it isn't cached, and returns its outputs.
    /// `key` must name everything that the graph depends on: "decode 64x64".
    /// Throws OUT_OF_MEMORY (before allocating, with figures), ABORTED, INTERNAL.
    Outputs run(const std::string & key, const Build & build, const Feeds & feeds);
    /// Bytes that the graph would add: its compute buffer, and memory for streamed weights that isn't
    /// allocated yet. Allocates nothing. UINT64_MAX when a tensor is too large for the device's operations,
    /// so that the CPU would have to take part.
    uint64_t measure(const std::string & key, const Build & build);
    /// The same as run(), with the outputs kept on the device.
    DeviceTensors run_keep(const std::string & key, const Build & build, const Feeds & feeds);
    /// Copies host tensors to the device.
    DeviceTensors keep(const std::map<std::string, const HostTensor *> & tensors);

    /// Low-rank updates by weight tensor, applied by the layers of nn/. Drops all cached graphs.
    void set_loras(std::unordered_map<Tensor, std::vector<LoraUpdate>> loras);
    uint64_t lora_generation() const { return lora_generation_; }

    /// From now on graphs stream the weights of `store` in stretches (see stream.h). The store must outlive
    /// the runner.
    void stream_from(const WeightStore & store, const Streaming & streaming) {
        stream_ = std::make_unique<WeightStream>(device_, store, streaming);
    }

    /// Times every operation of the following runs until stop_profile(). That is slower: each operation waits
    /// for the one before.
    void start_profile();
    Profile stop_profile();

    Device & device() { return device_; }

    struct Graph;

private:
    std::unique_ptr<Graph> build_graph(const std::string & key, const Build & build) const;
    Graph & find_or_build(const std::string & key, const Build & build);
    Graph & compute(const std::string & key, const Build & build, const Feeds & feeds);
    void measure(Graph & graph) const;
    void place(Graph & graph, const Build & build);
    void place_with_scheduler(Graph & graph, const Build & build, const std::string & purpose);
    void fill(const Graph & graph, const Feeds & feeds) const;
    static void copy_on_device(Tensor from, Tensor into, size_t offset);
    void drop_graphs();

    Device & device_;
    bool flash_attention_;
    std::list<std::unique_ptr<Graph>> graphs_;  // most recently used first
    std::unordered_map<Tensor, std::vector<LoraUpdate>> loras_;
    uint64_t lora_generation_ = 0;
    std::unique_ptr<Profile> profile_;
    std::unique_ptr<WeightStream> stream_;
};

}  // namespace imageforge
