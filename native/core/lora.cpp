// down [kw, kh, in, rank] and up [1, 1, rank, out] for convolutions, down [in, rank] and up [rank, out] for
// linear layers.
#include "core/lora.h"

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

}  // namespace

uint64_t LoraSet::bytes() const {
    uint64_t bytes = 0;
    for (const auto & store : stores) bytes += store->bytes_mapped() + store->bytes_allocated();
    return bytes;
}

LoraSet load_loras(Device & device, const WeightStore & network, std::vector<Lora> loras) {
    LoraSet set;
    for (Lora & lora : loras) {
        set.stores.push_back(std::make_unique<WeightStore>(device, std::move(lora.weights)));
        WeightStore & store = *set.stores.back();
        for (const LoraTarget & update : lora.updates) {
            const Tensor target = network.declared(update.target);
            if (!target)
                fail(ErrorCode::WeightsInvalid, "A LoRA updates \"%.200s\", which the network doesn't have.",
                     update.target.c_str());
            set.updates[target].push_back(declare(store, update, target, lora.strength));
        }
        store.load();
    }
    return set;
}

}  // namespace imageforge
