// Root-mean-square norm over tokens or heads (Zhang and Sennrich 2019).
#pragma once
#include "core/graph.h"
#include "core/weights.h"

namespace imageforge {

struct RmsNorm {
    Tensor weight;  // [width]
    float eps;

    /// `leaf` is the last part of the tensor's name; FLUX's is "scale".
    RmsNorm(Weights w, int64_t width, float eps, const std::string & leaf = "weight");

    Tensor forward(const Ctx & ctx, Tensor x) const;  // [width, n, …] -> the same shape; rows may be strided
};

}  // namespace imageforge
