// LoRA files on a network. Low-rank updates run beside their weights, which stay where they lie. Every other
// change (DoRA, LoHa, LoKr, OFT, differences …) needs the weight itself: the changed weight is computed once
// and takes its place.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/graph.h"
#include "core/weight_change.h"
#include "core/weights.h"

namespace imageforge {

/// A low-rank update: up and down name tensors of the LoRA.
struct LoraTarget {
    std::string target;  // the network's tensor
    std::string up, down;
    float scale = 1;
    int64_t row = 0;
};

struct Lora {
    WeightTable weights;
    std::vector<LoraTarget> updates;
    float strength = 1;
    std::vector<WeightChange> changes;
};

/// A weight with its changes, and the network's tensor whose place it takes.
class ChangedWeight {
public:
    /// F16, or F32 where the network's tensor is that, has one dimension, or the values need it.
    ChangedWeight(Device & device, Tensor replaced, const Shape & shape, const DenseTensor & values);

    Tensor replaced() const { return replaced_; }
    Tensor tensor() const { return tensor_; }
    uint64_t bytes() const;

private:
    struct FreeContext {
        void operator()(ggml_context * context) const { ggml_free(context); }
    };
    struct FreeBuffer {
        void operator()(ggml_backend_buffer_t buffer) const;
    };
    Tensor replaced_, tensor_ = nullptr;
    std::unique_ptr<ggml_context, FreeContext> context_;
    std::unique_ptr<ggml_backend_buffer, FreeBuffer> buffer_;
};

/// Loaded factors and the updates that refer to them, and changed weights. Must live as long as a Runner uses
/// the updates, and as long as the network's tensors are replaced.
struct LoraSet {
    std::vector<std::unique_ptr<WeightStore>> stores;
    std::unordered_map<Tensor, std::vector<LoraUpdate>> updates;
    std::vector<ChangedWeight> changed;

    uint64_t bytes() const;
};

/// Throws WEIGHTS_INVALID naming the tensors where a factor doesn't fit to its target or isn't finite. The
/// network is not touched: see WeightStore::replace().
LoraSet load_loras(Device & device, const WeightStore & network, std::vector<Lora> loras);

}  // namespace imageforge
