// Two-dimensional convolutions with zero padding, bias, and whatever low-rank updates the weight has.
#pragma once
#include "core/graph.h"
#include "core/weights.h"

namespace imageforge {

struct Conv2d {
    /// Where the kernel is placed; the defaults suit a 3 x 3 kernel that keeps the size.
    struct Options {
        int kernel = 3;
        int stride = 1;
        int pad_before = 1;      // zeros on the left and on top
        int pad_after = 1;       // zeros on the right and at the bottom
        bool upsample2 = false;  // the input is doubled first, nearest neighbour
        bool with_bias = true;
    };
    static Options pointwise() { return {1, 1, 0, 0, false, true}; }

    Tensor weight;  // [kernel, kernel, in, out], or where the file has it so [in, kernel · kernel, out]
    Tensor bias;    // [out], nullptr without one
    Options options;

    Conv2d(Weights w, int64_t in, int64_t out, Options options);
    Conv2d(Weights w, int64_t in, int64_t out) : Conv2d(w, in, out, Options{}) {}

    Tensor forward(const Ctx & ctx, Tensor x) const;  // [W, H, in, N] -> [W', H', out, N]
};

}  // namespace imageforge
