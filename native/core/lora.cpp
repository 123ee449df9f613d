// down [kw, kh, in, rank] and up [1, 1, rank, out] for convolutions, down [in, rank] and up [rank, out] for
// linear layers.
#include "core/lora.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>

#include <algorithm>
#include <cmath>

#include "core/device.h"
#include "core/error.h"

namespace imageforge {

namespace {

int64_t element_count(const Shape & shape) {
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    return count;
}

/// [kw, kh, in, out] of a convolution's weight; quantised ones are square and lie as [in, kw·kh, out].
Shape kernel_of(Tensor weight) {
    const int64_t * ne = weight->ne;
    if (!ggml_is_quantized(weight->type)) return {ne[0], ne[1], ne[2], ne[3]};
    const int64_t side = std::lround(std::sqrt(static_cast<double>(ne[1])));
    return {side, side, ne[0], ne[2]};
}

/// Declares both factors in the layout that the target's layer needs.
LoraUpdate declare(WeightStore & store, const LoraTarget & update, Tensor target, float strength) {
    const Shape down = store.shape(update.down), up = store.shape(update.up);
    const bool convolution = ggml_n_dims(target) > 2 || (target->ne[0] == 1 && target->ne[1] == 1);
    const int64_t rank = down.empty() ? 0 : down.back();
    const int64_t out = up.empty() ? 0 : up.back();
    const Shape kernel = kernel_of(target);
    const int64_t rows = convolution ? kernel[3] : target->ne[1];
    const int64_t per_row = convolution ? kernel[0] * kernel[1] * kernel[2] : target->ne[0];
    const bool fits = rank > 0 && element_count(down) == per_row * rank && element_count(up) == rank * out &&
                      update.row >= 0 && update.row <= rows && out <= rows - update.row;
    if (!fits)
        fail(ErrorCode::WeightsInvalid,
             "The LoRA factors \"%.120s\" (rank %lld, %lld values) and \"%.120s\" (%lld rows from row %lld) "
             "don't fit the "
             "weight \"%.120s\" with %lld rows of %lld values. Is the LoRA made for another model?",
             update.down.c_str(), static_cast<long long>(rank), static_cast<long long>(element_count(down)),
             update.up.c_str(), static_cast<long long>(out), static_cast<long long>(update.row),
             update.target.c_str(), static_cast<long long>(rows), static_cast<long long>(per_row));
    LoraUpdate result = {};
    const Weights root = store.root();
    if (convolution) {
        result.down = root.get(update.down, {kernel[0], kernel[1], kernel[2], rank});
        result.up = root.get(update.up, {1, 1, rank, out});
    } else {
        result.down = root.get(update.down, {per_row, rank});
        result.up = root.get(update.up, {rank, out});
    }
    result.scale = update.scale * strength;
    result.row = update.row;
    return result;
}

/// The values of one of the LoRA's tensors. A file with others than numbers in it would spoil every picture.
Factor read_factor(const WeightStore & store, const std::string & name) {
    Factor factor{store.shape(name), store.read(name)};
    for (const float value : factor.values)
        if (!std::isfinite(value))
            fail(ErrorCode::WeightsInvalid,
                 "%s: the tensor \"%.200s\" has a value that is %s. The file is damaged, or its training "
                 "went wrong.",
                 store.file_of(name).c_str(), name.c_str(), std::isnan(value) ? "not a number" : "infinite");
    return factor;
}

DenseTensor read_weight(const WeightStore & network, const std::string & name) {
    const Shape shape = network.shape(name);
    DenseTensor weight;
    weight.rows = shape.empty() ? 1 : shape.back();
    weight.values = network.read(name);
    const int64_t columns = static_cast<int64_t>(weight.values.size()) / weight.rows;
    if (network.taps_first(name))
        weight.taps = shape[1];
    else if (shape.size() == 4)
        weight.taps = shape[0] * shape[1];
    weight.inputs = columns / weight.taps;
    return weight;
}

/// A change and the LoRA that it comes from.
struct ChangeOf {
    const WeightStore * store;
    WeightChange change;
    float strength;
};

WeightChange as_change(const LoraTarget & update, const WeightStore & store) {
    WeightChange change;
    change.target = update.target;
    change.factors = {{"a", update.up}, {"b", update.down}};
    change.scale = update.scale;
    change.row = update.row;
    const Shape up = store.shape(update.up);
    change.rows = up.empty() ? 0 : up.back();
    return change;
}

/// The changes of all LoRAs by the weight that they change, in the order in which the LoRAs were named.
using Changes = std::unordered_map<Tensor, std::vector<ChangeOf>>;

Tensor find_target(const WeightStore & network, const std::string & name) {
    const Tensor target = network.declared(name);
    if (!target)
        fail(ErrorCode::WeightsInvalid, "A LoRA updates \"%.200s\", which the network doesn't have.",
             name.c_str());
    return target;
}

ChangedWeight change_weight(Device & device, const WeightStore & network, Tensor target,
                            const std::vector<ChangeOf> & changes) {
    const std::string & name = changes.front().change.target;
    DenseTensor weight = read_weight(network, name);
    for (const auto & [store, change, strength] : changes) {
        const auto read = [store = store](const std::string & factor) { return read_factor(*store, factor); };
        apply_change(change, read, strength, device.threads(), weight);
        store->give_back();
    }
    const auto infinite = [](float value) { return !std::isfinite(value); };
    if (std::any_of(weight.values.begin(), weight.values.end(), infinite))
        fail(ErrorCode::WeightsInvalid,
             "With the LoRA's change the weight \"%.200s\" has values that are no finite numbers. Is its "
             "strength too "
             "large?",
             name.c_str());
    // a quantised kernel has an order of its own
    const Shape shape =
        network.taps_first(name) ? kernel_of(target) : Shape(target->ne, target->ne + GGML_MAX_DIMS);
    return ChangedWeight(device, target, shape, weight);
}

}  // namespace

void ChangedWeight::FreeBuffer::operator()(ggml_backend_buffer_t buffer) const {
    ggml_backend_buffer_free(buffer);
}

ChangedWeight::ChangedWeight(Device & device, Tensor replaced, const Shape & shape,
                             const DenseTensor & weight)
    : replaced_(replaced) {
    constexpr float largest_half = 65504;
    const auto fits = [](float value) { return std::fabs(value) <= largest_half; };
    const bool half =
        replaced->type != GGML_TYPE_F32 && std::all_of(weight.values.begin(), weight.values.end(), fits);
    ggml_init_params params = {};
    params.mem_size = 2 * ggml_tensor_overhead();
    params.no_alloc = true;
    context_.reset(ggml_init(params));
    if (!context_) fail(ErrorCode::OutOfMemory, "Not enough memory for a changed weight.");
    tensor_ = ggml_new_tensor(context_.get(), half ? GGML_TYPE_F16 : GGML_TYPE_F32,
                              static_cast<int>(shape.size()), shape.data());
    const size_t bytes = ggml_nbytes(tensor_);
    device.require_memory(bytes, "a weight that a LoRA changes");
    buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), device.buffer_type()));
    if (!buffer_) device.refuse_memory(bytes, "a weight that a LoRA changes");
    ggml_backend_buffer_set_usage(buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    if (!half) {
        ggml_backend_tensor_set(tensor_, weight.values.data(), 0, bytes);
        return;
    }
    std::vector<ggml_fp16_t> halves(weight.values.size());
    ggml_fp32_to_fp16_row(weight.values.data(), halves.data(), static_cast<int64_t>(halves.size()));
    ggml_backend_tensor_set(tensor_, halves.data(), 0, bytes);
}

uint64_t ChangedWeight::bytes() const { return ggml_backend_buffer_get_size(buffer_.get()); }

uint64_t LoraSet::bytes() const {
    uint64_t bytes = 0;
    for (const auto & store : stores) bytes += store->bytes_mapped() + store->bytes_allocated();
    for (const ChangedWeight & weight : changed) bytes += weight.bytes();
    return bytes;
}

LoraSet load_loras(Device & device, const WeightStore & network, std::vector<Lora> loras) {
    LoraSet set;
    Changes changes;
    for (Lora & lora : loras) {
        set.stores.push_back(std::make_unique<WeightStore>(device, std::move(lora.weights)));
        for (const WeightChange & change : lora.changes) changes[find_target(network, change.target)];
        for (const LoraTarget & update : lora.updates) {
            const Tensor target = find_target(network, update.target);
            if (!network.is_updatable(target)) changes[target];
        }
    }
    for (size_t i = 0; i < loras.size(); ++i) {
        const Lora & lora = loras[i];
        WeightStore & store = *set.stores[i];
        for (const LoraTarget & update : lora.updates) {
            const Tensor target = network.declared(update.target);
            const auto changed = changes.find(target);
            if (changed != changes.end()) {
                changed->second.push_back({&store, as_change(update, store), lora.strength});
                continue;
            }
            read_factor(store, update.up);
            read_factor(store, update.down);
            set.updates[target].push_back(declare(store, update, target, lora.strength));
        }
        for (const WeightChange & change : lora.changes)
            changes[network.declared(change.target)].push_back({&store, change, lora.strength});
        store.load();
    }
    for (const auto & [target, list] : changes) {
        if (device.abort_flag()) fail(ErrorCode::Aborted, "Aborted while applying LoRAs.");
        set.changed.push_back(change_weight(device, network, target, list));
    }
    return set;
}

}  // namespace imageforge
