// Two-dimensional convolutions with zero padding, a bias and the weight's LoRA updates.
#pragma once
#include "core/graph.h"
#include "core/weights.h"

namespace imageforge {

struct Conv2d {
    /// Stride and padding. The defaults are for a 3 x 3 kernel that keeps the size.
    struct Options {
        int kernel = 3;
        int stride = 1;
        int pad_before = 1;      // zeros on the left and on top
        int pad_after = 1;       // zeros on the right and at the bottom
        bool upsample2 = false;  // nearest-neighbour upsampling by 2 comes first
        bool with_bias = true;
    };
    static Options pointwise() { return {1, 1, 0, 0, false, true}; }

    Tensor weight;  // [kernel, kernel, in, out], or [in, kernel · kernel, out] where the file stores that
    Tensor bias;    // [out], nullptr without one
    Options options;

    Conv2d(Weights w, int64_t in, int64_t out, Options options);
    Conv2d(Weights w, int64_t in, int64_t out) : Conv2d(w, in, out, Options{}) {}

    Tensor forward(const Ctx & ctx, Tensor x) const;  // [W, H, in, N] -> [W', H', out, N]
};

}  // namespace imageforge
