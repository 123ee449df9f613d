#include "nn/activations.h"

namespace imageforge {

Tensor gelu_tanh(const Ctx & ctx, Tensor x) {
    ggml_context * g = ctx.graph;
    if (!ctx.cpu) return ggml_gelu(g, x);
    // ggml_gelu looks its result up in a table of F16 values on the CPU, which costs three digits. Exactly it
    // is x * sigmoid(x s) with s = 2 sqrt(2 / pi) (1 + 0.044715 x²), and that is silu(x s) / s.
    constexpr float slope = 1.5957691216f;
    Tensor s = ggml_scale_bias(g, ggml_sqr(g, x), 0.044715f * slope, slope);
    return ggml_div(g, ggml_silu(g, ggml_mul(g, x, s)), s);
}

Tensor swiglu(const Ctx & ctx, Tensor x) { return ggml_swiglu(ctx.graph, x); }
Tensor swiglu(const Ctx & ctx, Tensor gate, Tensor value) {
    return ggml_swiglu_split(ctx.graph, gate, value);
}

}  // namespace imageforge
