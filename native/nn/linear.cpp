#include "nn/linear.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"

namespace imageforge {

Linear::Linear(Weights w, int64_t in, int64_t out, bool with_bias)
    : weight(w.get("weight", {in, out})), bias(with_bias ? w.get("bias", {out}) : nullptr) {}

Linear Linear::pointwise(Weights w, int64_t in, int64_t out) {
    return Linear(w.get("weight", {1, 1, in, out}), w.get("bias", {out}));
}

/// A 1 x 1 convolution's weight [1, 1, in, out] as a matrix [in, out]; a matrix stays what it is.
static Tensor as_matrix(const Ctx & ctx, Tensor weight) {
    if (ggml_n_dims(weight) <= 2) return weight;
    return ggml_reshape_2d(ctx.graph, weight, weight->ne[2], weight->ne[3]);
}

static Tensor product(const Ctx & ctx, Tensor weight, Tensor x, Tensor bias) {
    weight = as_matrix(ctx, weight);
    if (use_kernel(ctx, Kernel::Linear)) return kernels::linear(ctx.graph, *ctx.env, weight, x, bias);
    Tensor y = ggml_mul_mat(ctx.graph, weight, x);
    return bias ? ggml_add(ctx.graph, y, bias) : y;
}

static Tensor apply_lora(const Ctx & ctx, const LoraUpdate & lora, Tensor x, Tensor y) {
    Tensor inner = ggml_scale(ctx.graph, product(ctx, lora.down, x, nullptr), lora.scale);
    Tensor delta = product(ctx, lora.up, inner, nullptr);
    if (delta->ne[0] == y->ne[0]) return ggml_add(ctx.graph, y, delta);
    return ggml_acc(ctx.graph, y, delta, y->nb[1], y->nb[2], y->nb[3], lora.row * sizeof(float));
}

Tensor Linear::forward(const Ctx & ctx, Tensor x) const {
    Tensor y = product(ctx, weight, x, bias);
    if (!ctx.loras) return y;
    const auto found = ctx.loras->find(weight);
    if (found == ctx.loras->end()) return y;
    for (const LoraUpdate & lora : found->second) y = apply_lora(ctx, lora, x, y);
    return y;
}

}  // namespace imageforge
