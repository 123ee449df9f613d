// Linear layers: weight, bias and the weight's LoRA updates (Hu et al. 2021).
#pragma once
#include "core/graph.h"
#include "core/weights.h"

namespace imageforge {

struct Linear {
    Tensor weight;
    Tensor bias;  // nullptr without one

    /// "weight" [in, out], or a 1 x 1 convolution's [1, 1, in, out], and "bias" [out].
    Linear(Weights w, int64_t in, int64_t out, bool with_bias = true);

    Tensor forward(const Ctx & ctx, Tensor x) const;  // [in, n, …] -> [out, n, …]
};

/// weight [in, out], x [in, n, …], bias [out] or nullptr -> [out, n, …], without low-rank updates.
Tensor product(const Ctx & ctx, Tensor weight, Tensor x, Tensor bias = nullptr);

}  // namespace imageforge
