// Builds, caches, lays out and computes graphs. All graphs of a device share one compute buffer. Only one
// graph has its tensors placed in it at a time; switching to another costs a millisecond or two.
#include "core/runner.h"

#include <ggml-alloc.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "core/error.h"
#include "core/memory.h"
#include "core/profile.h"

namespace imageforge {

namespace {

constexpr size_t max_nodes =
    32768;  // more than the largest network with LoRAs has; unused room is never touched
constexpr size_t max_cached = 8;
constexpr size_t most_idle = size_t{64} << 20;  // bytes of the compute buffer that a graph may leave unused

ggml_context * new_context(size_t tensors, bool with_graph) {
    ggml_init_params params = {};
    params.mem_size =
        tensors * ggml_tensor_overhead() + (with_graph ? ggml_graph_overhead_custom(max_nodes, false) : 0);
    params.no_alloc = true;
    ggml_context * context = ggml_init(params);
    if (!context) fail(ErrorCode::OutOfMemory, "Not enough memory for a graph's description.");
    return context;
}

struct FreeContext {
    void operator()(ggml_context * context) const { ggml_free(context); }
};

/// GPUs limit the bytes that an operation may address in one tensor. Vulkan guarantees at least this many.
constexpr size_t surely_addressable = size_t{1} << 27;

bool is_large(const ggml_tensor * node) {
    if (ggml_nbytes(node) > surely_addressable) return true;
    return std::any_of(std::begin(node->src), std::end(node->src), [](const ggml_tensor * source) {
        return source && ggml_nbytes(source) > surely_addressable;
    });
}

Shape shape_of(const ggml_tensor * tensor) {
    return Shape(tensor->ne, tensor->ne + std::max(1, ggml_n_dims(tensor)));
}

}  // namespace

struct Runner::Graph {
    std::string key;
    std::unique_ptr<ggml_context, FreeContext> context;
    ggml_cgraph * nodes = nullptr;
    std::map<std::string, Tensor> inputs, outputs;
    bool needs_cpu = false;  // the device lacks one of its operations
    bool too_large = false;  // … because a tensor is too large for it
    size_t bytes = 0;        // of the compute buffer, 0 before it is measured

    /// Forgets the places of its tensors, so that they can be placed again.
    void unplace() const {
        for (Tensor t = ggml_get_first_tensor(context.get()); t; t = ggml_get_next_tensor(context.get(), t)) {
            t->data = nullptr;
            t->buffer = nullptr;
        }
    }
};

int64_t element_count(const Shape & shape) {
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    return count;
}

// ---- building

Feed & Feed::add(const void * data, size_t bytes) {
    pieces_.push_back({data, bytes, nullptr});
    return *this;
}

Feed & Feed::add(Tensor device_tensor) {
    pieces_.push_back({nullptr, ggml_nbytes(device_tensor), device_tensor});
    return *this;
}

Tensor GraphBuilder::input(const std::string & name, const Shape & shape, ggml_type type) {
    if (inputs_.count(name)) fail(ErrorCode::Internal, "The graph has two inputs \"%s\".", name.c_str());
    Tensor tensor = ggml_new_tensor(ctx_.graph, type, static_cast<int>(shape.size()), shape.data());
    ggml_set_name(tensor, name.c_str());
    ggml_set_input(tensor);
    return inputs_[name] = tensor;
}

void GraphBuilder::output(const std::string & name, Tensor tensor) {
    if (!ggml_is_contiguous(tensor)) tensor = ggml_cont(ctx_.graph, tensor);
    // A view lives as long as its source.
    for (Tensor t = tensor; t; t = t->view_src) ggml_set_output(t);
    outputs_[name] = tensor;
}

Runner::Runner(Device & device, bool flash_attention) : device_(device), flash_attention_(flash_attention) {}

Runner::~Runner() { drop_graphs(); }

void Runner::drop_graphs() {
    for (const auto & graph : graphs_)
        if (device_.active_ == graph.get()) device_.active_ = nullptr;
    graphs_.clear();
}

void Runner::set_loras(std::unordered_map<Tensor, std::vector<LoraUpdate>> loras) {
    drop_graphs();
    loras_ = std::move(loras);
    ++lora_generation_;
}

std::unique_ptr<Runner::Graph> Runner::build_graph(const std::string & key, const Build & build) const {
    auto graph = std::make_unique<Graph>();
    graph->key = key;
    graph->context.reset(new_context(max_nodes, true));
    Ctx ctx = {};
    ctx.graph = graph->context.get();
    ctx.cpu = device_.is_cpu();
    ctx.flash_attention = flash_attention_;
    ctx.direct_convolution = device_.convolves_directly();
    ctx.env = &device_.kernel_env();
    ctx.loras = &loras_;
    GraphBuilder builder(ctx);
    build(builder);
    graph->inputs = builder.inputs_;
    graph->outputs = builder.outputs_;
    graph->nodes = ggml_new_graph_custom(graph->context.get(), max_nodes, false);
    for (const auto & input : graph->inputs) ggml_build_forward_expand(graph->nodes, input.second);
    for (const auto & output : graph->outputs) ggml_build_forward_expand(graph->nodes, output.second);
    for (int i = 0; i < ggml_graph_n_nodes(graph->nodes); ++i) {
        const ggml_tensor * node = ggml_graph_node(graph->nodes, i);
        if (ggml_backend_supports_op(device_.backend(), node)) continue;
        if (stream_ && stream_->looks_up(node)) continue;
        graph->needs_cpu = true;
        graph->too_large = graph->too_large || is_large(node);
    }
    return graph;
}

Runner::Graph & Runner::find_or_build(const std::string & key, const Build & build) {
    const auto found =
        std::find_if(graphs_.begin(), graphs_.end(), [&](const auto & graph) { return graph->key == key; });
    if (found != graphs_.end()) {
        // The scheduler rewrites the graphs that it splits, so such a graph can't be placed a second time.
        if (!(*found)->needs_cpu || device_.active_ == found->get()) {
            graphs_.splice(graphs_.begin(), graphs_, found);
            return *graphs_.front();
        }
        graphs_.erase(found);
    }

    if (profile_) ++profile_->builds;
    graphs_.push_front(build_graph(key, build));
    if (graphs_.size() > max_cached) {
        if (device_.active_ == graphs_.back().get()) device_.active_ = nullptr;
        graphs_.pop_back();
    }
    return *graphs_.front();
}

// ---- laying out and computing

void Runner::measure(Graph & graph) const {
    if (graph.bytes != 0) return;
    graph.unplace();
    const std::unique_ptr<ggml_gallocr, void (*)(ggml_gallocr_t)> measure(
        ggml_gallocr_new(device_.buffer_type()), ggml_gallocr_free);
    ggml_gallocr_reserve_n_size(measure.get(), graph.nodes, nullptr, nullptr, &graph.bytes);
}

uint64_t Runner::measure(const std::string & key, const Build & build) {
    Graph & graph = find_or_build(key, build);
    if (graph.too_large) return UINT64_MAX;
    const uint64_t weights = stream_ ? stream_->missing(graph.nodes) : 0;
    // A graph that the scheduler has split can't be measured again, so one like it is built and measured.
    if (graph.needs_cpu && device_.active_ == &graph) {
        const auto copy = build_graph(key, build);
        measure(*copy);
        return copy->bytes + weights;
    }
    measure(graph);
    return graph.bytes + weights;
}

/// Places the graph's tensors in the compute buffer. Measures first, so that no allocation is tried that
/// can't succeed.
void Runner::place(Graph & graph, const Build & build) {
    if (device_.active_ == &graph) return;
    device_.active_ = nullptr;
    const std::string purpose = "computing \"" + graph.key + "\"";
    if (graph.needs_cpu) return place_with_scheduler(graph, build, purpose);

    graph.unplace();
    measure(graph);
    size_t held = ggml_gallocr_get_buffer_size(device_.allocator_, 0);
    // A phase must not keep the last one's large buffer. A small difference isn't worth a new allocation.
    if (held > graph.bytes + most_idle) {
        device_.free_buffers();
        held = 0;
    }
    if (graph.bytes > held) device_.require_memory(graph.bytes - held, purpose);
    if (!ggml_gallocr_reserve(device_.allocator_, graph.nodes) ||
        !ggml_gallocr_alloc_graph(device_.allocator_, graph.nodes))
        device_.refuse_memory(graph.bytes, purpose);
    device_.count_buffers();
    device_.active_ = &graph;
}

/// Where the device lacks an operation, ggml's scheduler splits the graph between device and CPU.
void Runner::place_with_scheduler(Graph & graph, const Build & build, const std::string & purpose) {
    auto & backends = device_.backends_;
    if (backends.size() < 2)
        fail(ErrorCode::Unsupported, "The CPU lacks an operation of %s.", purpose.c_str());
    if (!device_.scheduler_)
        device_.scheduler_ = ggml_backend_sched_new(
            backends.data(), nullptr, static_cast<int>(backends.size()), max_nodes, false, false);
    // The place of a weight decides which device computes with it, so weights must be there when the graph is
    // split.
    if (stream_) stream_->bring_all(graph.nodes, "the weights of " + purpose);
    // Splitting rewrites the graph, so one is built only to be measured.
    const auto measured = build_graph(graph.key, build);
    std::vector<size_t> bytes(backends.size());
    ggml_backend_sched_reset(device_.scheduler_);
    ggml_backend_sched_reserve_size(device_.scheduler_, measured->nodes, bytes.data());
    const size_t held = ggml_backend_sched_get_buffer_size(device_.scheduler_, backends.front());
    if (bytes[0] > held) device_.require_memory(bytes[0] - held, purpose);
    const uint64_t host = system_memory().free;
    if (bytes[1] > host)
        fail(ErrorCode::OutOfMemory, "Not enough host memory for %s: %s needed, %s free.", purpose.c_str(),
             format_bytes(bytes[1]).c_str(), format_bytes(host).c_str());
    ggml_backend_sched_reset(device_.scheduler_);
    if (!ggml_backend_sched_alloc_graph(device_.scheduler_, graph.nodes))
        device_.refuse_memory(bytes[0], purpose);
    device_.count_buffers();
    device_.active_ = &graph;
}

void Runner::fill(const Graph & graph, const Feeds & feeds) const {
    for (const auto & [name, tensor] : graph.inputs) {
        const auto feed = feeds.find(name);
        if (feed == feeds.end()) fail(ErrorCode::Internal, "The input \"%s\" is not fed.", name.c_str());
        size_t offset = 0;
        for (const Feed::Piece & piece : feed->second.pieces_) offset += piece.bytes;
        if (offset != ggml_nbytes(tensor))
            fail(ErrorCode::Internal, "The input \"%s\" of \"%s\" takes %zu bytes, fed with %zu.",
                 name.c_str(), graph.key.c_str(), ggml_nbytes(tensor), offset);
        offset = 0;
        for (const Feed::Piece & piece : feed->second.pieces_) {
            if (piece.tensor && ggml_backend_buffer_is_host(piece.tensor->buffer))
                ggml_backend_tensor_set(tensor, piece.tensor->data, offset, piece.bytes);
            else if (piece.tensor)
                copy_on_device(piece.tensor, tensor, offset);
            else
                ggml_backend_tensor_set(tensor, piece.data, offset, piece.bytes);
            offset += piece.bytes;
        }
    }
}

/// Copies a kept tensor into a part of an input, on the device.
void Runner::copy_on_device(Tensor from, Tensor into, size_t offset) {
    const std::unique_ptr<ggml_context, FreeContext> scratch(new_context(2, false));
    Tensor part = ggml_view_1d(scratch.get(), into, ggml_nelements(from), offset);
    Tensor flat = ggml_view_1d(scratch.get(), from, ggml_nelements(from), 0);
    ggml_backend_view_init(part);
    ggml_backend_view_init(flat);
    ggml_backend_tensor_copy(flat, part);
}

Runner::Graph & Runner::compute(const std::string & key, const Build & build, const Feeds & feeds) {
    const auto check_abort = [&] {
        if (device_.abort_flag()) fail(ErrorCode::Aborted, "Aborted while computing \"%s\".", key.c_str());
    };
    check_abort();
    const auto start = std::chrono::steady_clock::now();
    try {
        Graph & graph = find_or_build(key, build);
        place(graph, build);
        fill(graph, feeds);
        const ggml_backend_t backend = device_.backend();
        const auto compute_nodes = [&](ggml_cgraph * nodes) {
            return profile_ ? compute_profiled(backend, nodes, *profile_)
                            : ggml_backend_graph_compute_async(backend, nodes);
        };
        ggml_status status;
        if (graph.needs_cpu)
            status = ggml_backend_sched_graph_compute(device_.scheduler_, graph.nodes);
        else if (stream_)
            status = stream_->compute(graph.nodes, compute_nodes, "the weights of computing \"" + key + "\"");
        else
            status = compute_nodes(graph.nodes);
        ggml_backend_synchronize(backend);
        check_abort();
        if (status == GGML_STATUS_ALLOC_FAILED)
            fail(ErrorCode::OutOfMemory, "The device ran out of memory while computing \"%s\".", key.c_str());
        if (status != GGML_STATUS_SUCCESS)
            fail(ErrorCode::Internal, "Computing \"%s\" failed on %s (%s).", key.c_str(),
                 device_.info().id.c_str(), ggml_status_to_string(status));
        if (profile_) {
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
            profile_->seconds += took.count();
            profile_->runs += 1;
        }
        return graph;
    } catch (const std::bad_alloc &) {
        fail(ErrorCode::OutOfMemory, "Host memory ran out while computing \"%s\".", key.c_str());
    }
}

Outputs Runner::run(const std::string & key, const Build & build, const Feeds & feeds) {
    const Graph & graph = compute(key, build, feeds);
    Outputs outputs;
    for (const auto & [name, tensor] : graph.outputs) {
        HostTensor & host = outputs[name];
        host.shape = shape_of(tensor);
        host.data.resize(static_cast<size_t>(ggml_nelements(tensor)));
        if (tensor->type == GGML_TYPE_F32) {
            ggml_backend_tensor_get(tensor, host.data.data(), 0, ggml_nbytes(tensor));
        } else {
            std::vector<uint8_t> raw(ggml_nbytes(tensor));
            ggml_backend_tensor_get(tensor, raw.data(), 0, raw.size());
            ggml_get_type_traits(tensor->type)
                ->to_float(raw.data(), host.data.data(), ggml_nelements(tensor));
        }
    }
    return outputs;
}

DeviceTensors Runner::run_keep(const std::string & key, const Build & build, const Feeds & feeds) {
    const Graph & graph = compute(key, build, feeds);
    std::map<std::string, TensorLike> wanted;
    for (const auto & [name, tensor] : graph.outputs)
        wanted[name] = {Shape(tensor->ne, tensor->ne + GGML_MAX_DIMS), tensor->type};
    DeviceTensors kept = DeviceTensors::allocate(device_, wanted);
    for (const auto & [name, tensor] : graph.outputs) ggml_backend_tensor_copy(tensor, kept.at(name));
    return kept;
}

DeviceTensors Runner::keep(const std::map<std::string, const HostTensor *> & tensors) {
    std::map<std::string, TensorLike> wanted;
    for (const auto & [name, tensor] : tensors) wanted[name] = {tensor->shape, GGML_TYPE_F32};
    DeviceTensors kept = DeviceTensors::allocate(device_, wanted);
    for (const auto & [name, tensor] : tensors)
        ggml_backend_tensor_set(kept.at(name), tensor->data.data(), 0, tensor->data.size() * sizeof(float));
    return kept;
}

void Runner::start_profile() { profile_ = std::make_unique<Profile>(); }

Profile Runner::stop_profile() {
    Profile profile;
    if (profile_) profile = std::move(*profile_);
    profile_.reset();
    return profile;
}

}  // namespace imageforge
