// Activations of transformers beyond those in ops.h.
#pragma once
#include "core/graph.h"

namespace imageforge {

/// GELU in its tanh form; rows of x may be strided.
Tensor gelu_tanh(const Ctx & ctx, Tensor x);

/// silu(gate) * value (Shazeer 2020); x [2 d, n, …] holds gate, then value -> [d, n, …].
Tensor swiglu(const Ctx & ctx, Tensor x);
Tensor swiglu(const Ctx & ctx, Tensor gate, Tensor value);

}  // namespace imageforge
