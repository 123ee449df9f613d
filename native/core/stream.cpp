#include "core/stream.h"

#include <ggml-alloc.h>

#include <algorithm>

namespace imageforge {

namespace {

/// Kept weights are spread evenly, so that the next streamed one is read while kept ones compute. The choice
/// is the same in every graph of a network, since its weights come in the same order.
std::vector<bool> choose_staying(const std::vector<Stretch> & stretches, double share) {
    std::vector<bool> stays;
    EvenShare kept(share);
    for (const Stretch & stretch : stretches) {
        uint64_t bytes = 0;
        for (const ggml_tensor * weight : stretch.mapped) bytes += ggml_nbytes(weight);
        stays.push_back(kept.takes(bytes));
    }
    return stays;
}

/// Waits for the device at the end of a scope, also when an exception leaves it.
struct Completion {
    ggml_backend_t backend;
    ~Completion() { ggml_backend_synchronize(backend); }
};

}  // namespace

// ---- one slot

void Slot::resize(std::shared_ptr<ggml_backend_buffer> buffer) {
    fill({});
    buffer_ = std::move(buffer);
}

void Slot::fill(const std::vector<Tensor> & weights) {
    for (const Tensor guest : guests_)
        if (holds(guest)) store_.send_back(guest);  // else the other slot has taken it
    guests_ = weights;
    if (weights.empty()) return;
    ggml_tallocr place = ggml_tallocr_new(buffer_.get());
    for (const Tensor weight : weights) {
        store_.bring(weight, place);
        store_.give_back(weight);
    }
}

// ---- both

WeightStream::WeightStream(Device & device, const WeightStore & store, const Streaming & streaming)
    : device_(device), store_(store), streaming_(streaming), slots_{Slot(store), Slot(store)} {}

ggml_status WeightStream::compute(ggml_cgraph * graph, const Compute & compute, const std::string & purpose) {
    const std::vector<Stretch> stretches = cut(graph, store_, streaming_.most);
    const std::vector<bool> stays = choose_staying(stretches, streaming_.keep);
    std::vector<bool> wanted(stretches.size());
    const auto prefetch = [&](size_t i) {
        if (i >= stretches.size() || wanted[i]) return;
        for (const Tensor weight : stretches[i].mapped) store_.prefetch(weight);
        for (const Tensor weight : stretches[i].streamed) store_.prefetch(weight);
        wanted[i] = true;
    };

    reserve(sizes_of(stretches), purpose);
    prefetch(0);
    bring(stretches[0], slots_[0], graph);
    for (size_t i = 0; i < stretches.size(); ++i) {
        if (device_.abort_flag()) return GGML_STATUS_ABORTED;
        // The next stretch, and the next one that isn't kept: those between stay in memory after the first
        // run.
        size_t next = i + 1;
        prefetch(next);
        while (next < stretches.size() && stays[next]) ++next;
        prefetch(next);

        for (const Tensor node : stretches[i].lookups) look_up(node);
        {
            const Part part(graph, stretches[i]);
            const Completion completion{device_.backend()};
            const ggml_status status = compute(part.graph());
            if (status != GGML_STATUS_SUCCESS) return status;
            if (i + 1 < stretches.size()) bring(stretches[i + 1], slots_[(i + 1) % 2], graph);
        }
        dismiss(stretches[i], stays[i]);
    }
    return GGML_STATUS_SUCCESS;
}

void WeightStream::bring_all(ggml_cgraph * graph, const std::string & purpose) {
    const std::vector<Tensor> weights = streamed_weights(graph, store_);
    reserve({bytes_of(weights), 0}, purpose);
    slots_[0].fill(weights);
}

uint64_t WeightStream::missing(ggml_cgraph * graph) const {
    const Sizes sizes = sizes_of(cut(graph, store_, streaming_.most));
    uint64_t bytes = 0;
    for (size_t i = 0; i < slots_.size(); ++i) bytes += sizes[i] - std::min(sizes[i], slots_[i].size());
    return bytes;
}

/// Bytes of device memory, alignment and padding included.
uint64_t WeightStream::bytes_of(const std::vector<Tensor> & weights) const {
    const ggml_backend_buffer_type_t type = device_.buffer_type();
    const uint64_t alignment = ggml_backend_buft_get_alignment(type);
    uint64_t bytes = 0;
    for (const Tensor weight : weights)
        bytes += GGML_PAD(ggml_backend_buft_get_alloc_size(type, weight), alignment);
    return bytes;
}

WeightStream::Sizes WeightStream::sizes_of(const std::vector<Stretch> & stretches) const {
    Sizes sizes = {};
    for (size_t i = 0; i < stretches.size(); ++i)
        sizes[i % 2] = std::max(sizes[i % 2], bytes_of(stretches[i].streamed));
    return sizes;
}

void WeightStream::reserve(const Sizes & sizes, const std::string & purpose) {
    uint64_t wanted = 0;
    for (size_t i = 0; i < slots_.size(); ++i) {
        // Also frees a slot that holds a whole graph's weights.
        if (slots_[i].size() >= sizes[i] && slots_[i].size() <= sizes[i] + streaming_.most) continue;
        slots_[i].resize(nullptr);
        wanted += sizes[i];
    }
    if (wanted > 0) device_.require_memory(wanted, purpose);
    for (size_t i = 0; i < slots_.size(); ++i)
        if (slots_[i].size() < sizes[i]) slots_[i].resize(device_.allocate(sizes[i], purpose));
}

void WeightStream::bring(const Stretch & stretch, Slot & slot, ggml_cgraph * graph) {
    slot.fill(stretch.streamed);
    for (int i = stretch.begin; i < stretch.end; ++i)
        for (Tensor source : ggml_graph_node(graph, i)->src)
            if (source && source->view_src && slot.holds(source->view_src)) {
                source->buffer = nullptr;
                ggml_backend_view_init(source);
            }
}

void WeightStream::look_up(Tensor node) const {
    const Tensor table = node->src[0], numbers = node->src[1];
    std::vector<int32_t> rows(static_cast<size_t>(ggml_nelements(numbers)));
    ggml_backend_tensor_get(numbers, rows.data(), 0, ggml_nbytes(numbers));
    std::vector<float> values;
    for (const int32_t row : rows) {
        const std::vector<float> read = store_.read_row(table, row);
        values.insert(values.end(), read.begin(), read.end());
    }
    ggml_backend_tensor_set(node, values.data(), 0, ggml_nbytes(node));
    store_.give_back(table);
}

void WeightStream::dismiss(const Stretch & stretch, bool stays) const {
    for (const Tensor table : stretch.tables) store_.give_back(table);
    if (stays) return;
    for (const Tensor weight : stretch.mapped)
        streaming_.keep > 0 ? store_.drop(weight) : store_.give_back(weight);
}

}  // namespace imageforge
