#include "nn/modulation.h"

#include "kernels/kernels.h"
#include "nn/kernel_choice.h"
#include "nn/slices.h"

namespace imageforge {

Modulator::Modulator(Weights w, int64_t width, int sublayers, bool gated, bool with_bias)
    : linear(w, width, sublayers * (gated ? 3 : 2) * width, with_bias),
      width(width),
      sublayers(sublayers),
      gated(gated) {}

std::vector<Modulation> Modulator::forward(const Ctx & ctx, Tensor vector) const {
    ggml_context * g = ctx.graph;
    Tensor all = linear.forward(ctx, vector);
    int64_t next = 0;
    auto take = [&] {
        Tensor part = ggml_view_3d(g, all, width, 1, all->ne[1], all->nb[1], all->nb[1],
                                   width * next++ * static_cast<int64_t>(all->nb[0]));
        return contiguous(ctx, part);
    };
    std::vector<Modulation> modulations;
    for (int i = 0; i < sublayers; i++) {
        Tensor shift = take(), scale = take();
        modulations.push_back({shift, scale, gated ? take() : nullptr});
    }
    return modulations;
}

Tensor modulated_norm(const Ctx & ctx, Tensor x, const Modulation & modulation, float eps) {
    ggml_context * g = ctx.graph;
    Tensor scale = ggml_scale_bias(g, modulation.scale, 1, 1);
    if (x->ne[2] == 1 && use_kernel(ctx, Kernel::LayerNorm))
        return kernels::layer_norm(g, *ctx.env, x, scale, modulation.shift, eps);
    return ggml_add(g, ggml_mul(g, ggml_norm(g, x, eps), scale), modulation.shift);
}

Tensor add_gated(const Ctx & ctx, Tensor x, Tensor y, const Modulation & modulation) {
    return ggml_add(ctx.graph, x, ggml_mul(ctx.graph, y, modulation.gate));
}

}  // namespace imageforge
