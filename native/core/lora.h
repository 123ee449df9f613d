// LoRA files on a network: checks every pair of low-rank factors against the weight that it updates.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/graph.h"
#include "core/weights.h"

namespace imageforge {

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
};

/// Loaded factors and the updates that refer to them; must live as long as a Runner uses the updates.
struct LoraSet {
    std::vector<std::unique_ptr<WeightStore>> stores;
    std::unordered_map<Tensor, std::vector<LoraUpdate>> updates;

    uint64_t bytes() const;
};

/// Throws WEIGHTS_INVALID naming the tensors where a factor doesn't fit to its target.
LoraSet load_loras(Device & device, const WeightStore & network, std::vector<Lora> loras);

}  // namespace imageforge
