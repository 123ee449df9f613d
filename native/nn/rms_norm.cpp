#include "nn/rms_norm.h"

namespace imageforge {

RmsNorm::RmsNorm(Weights w, int64_t width, float eps, const std::string & leaf)
    : weight(w.get(leaf, {width})), eps(eps) {}

Tensor RmsNorm::forward(const Ctx & ctx, Tensor x) const {
    return ggml_mul(ctx.graph, ggml_rms_norm(ctx.graph, x, eps), weight);
}

}  // namespace imageforge
