#include "nn/linear.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"
#include "nn/ops.h"

namespace imageforge {

Linear::Linear(Weights w, int64_t in, int64_t out, bool with_bias)
    : weight(w.get_updatable("weight", {in, out})), bias(with_bias ? w.get("bias", {out}) : nullptr) {}

Tensor product(const Ctx & ctx, Tensor weight, Tensor x, Tensor bias) {
    if (use_kernel(ctx, Kernel::Linear)) return kernels::linear(ctx.graph, *ctx.env, weight, x, bias);
    // On the CPU ggml's product would round x to the weight's type, here to 8 bits of mantissa. Widening the
    // weight takes a buffer for the largest one in F32, and less time than reading it for the product.
    if (ctx.cpu && weight->type == GGML_TYPE_BF16) weight = ggml_cast(ctx.graph, weight, GGML_TYPE_F32);
    Tensor y = ggml_mul_mat(ctx.graph, weight, x);
    // Without this, GPUs accumulate in F16, which loses precision and can overflow. BF16 accumulates in F32.
    if (weight->type != GGML_TYPE_BF16) ggml_prec_set_acc(y, GGML_PREC_F32);
    return bias ? ggml_add(ctx.graph, y, bias) : y;
}

static Tensor apply_lora(const Ctx & ctx, const LoraUpdate & lora, Tensor x, Tensor y) {
    Tensor inner = ggml_scale(ctx.graph, product(ctx, lora.down, x), lora.scale);
    return add_rows(ctx, y, product(ctx, lora.up, inner), 0, lora.row);
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
