#include "nn/rope.h"

namespace imageforge {

Tensor rotate(const Ctx & ctx, Tensor x, Tensor positions, const Rope & rope) {
    const int mode = rope.pairs == RopePairs::Halves ? GGML_ROPE_TYPE_NEOX : GGML_ROPE_TYPE_NORMAL;
    Tensor y = ggml_rope_ext(ctx.graph, x, positions, nullptr, static_cast<int>(rope.width), mode, 0,
                             rope.theta, 1, 0, 1, 0, 0);
    return rope.first ? ggml_rope_set_offset(y, static_cast<int>(rope.first)) : y;
}

}  // namespace imageforge
