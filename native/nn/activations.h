// Activations beyond those in ops.h.
#pragma once
#include "core/graph.h"

namespace imageforge {

/// GELU in its tanh form. Rows of x may be evenly strided. The result's rows begin with those of `beside`,
/// where it is given.
Tensor gelu_tanh(const Ctx & ctx, Tensor x, Tensor beside = nullptr);

/// x where it is positive, else x * slope; x is overwritten (Maas et al. 2013).
Tensor leaky_relu(const Ctx & ctx, Tensor x, float slope);

/// silu(gate) * value (Shazeer 2020); x [2 d, n, …] holds gate, then value -> [d, n, …]; `beside` as above.
Tensor swiglu(const Ctx & ctx, Tensor x, Tensor beside = nullptr);
Tensor swiglu_of(const Ctx & ctx, Tensor gate, Tensor value);

}  // namespace imageforge
