#include "nn/activations.h"

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"

namespace imageforge {

/// One thread's share of a leaky ReLU on contiguous F32.
static void leaky_relu_share(ggml_tensor * y, const ggml_tensor * x, int thread, int threads, void * slope) {
    float factor;
    std::memcpy(&factor, &slope, sizeof(factor));
    const int64_t count = ggml_nelements(x);
    const int64_t from = count * thread / threads, to = count * (thread + 1) / threads;
    const auto * in = static_cast<const float *>(x->data);
    auto * out = static_cast<float *>(y->data);
    for (int64_t i = from; i < to; i++) out[i] = std::max(in[i], 0.0f) + factor * std::min(in[i], 0.0f);
}

Tensor leaky_relu(const Ctx & ctx, Tensor x, float slope) {
    if (!ctx.cpu || x->type != GGML_TYPE_F32 || !ggml_is_contiguous(x))
        return ggml_leaky_relu(ctx.graph, x, slope, true);
    // ggml's leaky ReLU runs on one thread only.
    void * user = nullptr;
    std::memcpy(&user, &slope, sizeof(slope));
    return ggml_map_custom1_inplace(ctx.graph, x, leaky_relu_share, GGML_N_TASKS_MAX, user);
}

/// Concatenates the rows of `beside` and y.
static Tensor join(const Ctx & ctx, Tensor beside, Tensor y) {
    return beside ? ggml_concat(ctx.graph, beside, y, 0) : y;
}

Tensor gelu_tanh(const Ctx & ctx, Tensor x, Tensor beside) {
    ggml_context * g = ctx.graph;
    if (use_kernel(ctx, Kernel::Activation))
        return kernels::activate(g, *ctx.env, kernels::Activation::GeluTanh, x, beside);
    if (!ctx.cpu) return join(ctx, beside, ggml_gelu(g, x));
    // On the CPU, ggml_gelu looks its result up in a table of F16 values, which costs three digits. The exact
    // identity: gelu(x) = x * sigmoid(x s) = silu(x s) / s with s = 2 sqrt(2 / pi) (1 + 0.044715 x²).
    constexpr float slope = 1.5957691216f;
    Tensor s = ggml_scale_bias(g, ggml_sqr(g, x), 0.044715f * slope, slope);
    return join(ctx, beside, ggml_div(g, ggml_silu(g, ggml_mul(g, x, s)), s));
}

Tensor swiglu(const Ctx & ctx, Tensor x, Tensor beside) {
    if (use_kernel(ctx, Kernel::Activation))
        return kernels::activate(ctx.graph, *ctx.env, kernels::Activation::Swiglu, x, beside);
    return join(ctx, beside, ggml_swiglu(ctx.graph, x));
}

Tensor swiglu_of(const Ctx & ctx, Tensor gate, Tensor value) {
    return ggml_swiglu_split(ctx.graph, gate, value);
}

}  // namespace imageforge
