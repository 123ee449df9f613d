// Tests convolutions with odd sizes, strides, paddings and weight types, alone and in batches.
#include <atomic>
#include <cstring>

#include "kernels_check.h"

namespace imageforge::kernels_test {

namespace {

struct ConvCase {
    int64_t width, height, in, out, batch;
    int kernel;
    kernels::ConvParams params;
};

std::vector<double> conv_reference(const ConvCase & c, const std::vector<float> & w,
                                   const std::vector<float> & x, const float * bias, int64_t out_width,
                                   int64_t out_height) {
    const int64_t scale = c.params.upsample2 ? 2 : 1;
    std::vector<double> y(out_width * out_height * c.out * c.batch);
    for (int64_t n = 0; n < c.batch; n++)
        for (int64_t o = 0; o < c.out; o++)
            for (int64_t oy = 0; oy < out_height; oy++)
                for (int64_t ox = 0; ox < out_width; ox++) {
                    double sum = bias ? bias[o] : 0;
                    for (int64_t i = 0; i < c.in; i++)
                        for (int64_t ky = 0; ky < c.kernel; ky++)
                            for (int64_t kx = 0; kx < c.kernel; kx++) {
                                const int64_t iy = oy * c.params.stride + ky - c.params.pad_top;
                                const int64_t ix = ox * c.params.stride + kx - c.params.pad_left;
                                if (iy < 0 || ix < 0 || iy >= c.height * scale || ix >= c.width * scale)
                                    continue;
                                sum +=
                                    static_cast<double>(w[((o * c.in + i) * c.kernel + ky) * c.kernel + kx]) *
                                    x[((n * c.in + i) * c.height + iy / scale) * c.width + ix / scale];
                            }
                    y[((n * c.out + o) * out_height + oy) * out_width + ox] = sum;
                }
    return y;
}

/// Reorders [out][tap][in], the order of quantised kernels, to [out][in][tap].
std::vector<float> taps_fastest(const std::vector<float> & values, const ConvCase & c) {
    const int64_t taps = c.kernel * c.kernel;
    std::vector<float> result(values.size());
    for (int64_t o = 0; o < c.out; o++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < c.in; i++)
                result[(o * c.in + i) * taps + t] = values[(o * taps + t) * c.in + i];
    return result;
}

void test_conv(ggml_type type, const ConvCase & c, bool with_bias) {
    Context context(64u << 20);
    const bool quantised = ggml_is_quantized(type);
    ggml_tensor * w = quantised ? make(context, type, {c.in, c.kernel * c.kernel, c.out}, random_source)
                                : make(context, type, {c.kernel, c.kernel, c.in, c.out}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {c.width, c.height, c.in, c.batch}, random_source);
    ggml_tensor * b = with_bias ? make(context, GGML_TYPE_F32, {c.out}, random_source) : nullptr;
    const std::vector<float> values = values_of(w);
    ggml_tensor * y = kernels::conv2d(context, env, w, x, b, c.params);
    check("conv " + std::string(ggml_type_name(type)) + " k" + std::to_string(c.kernel) + " s" +
              std::to_string(c.params.stride) + (c.params.upsample2 ? " up " : " ") + std::to_string(c.in) +
              "->" + std::to_string(c.out) + " " + std::to_string(c.width) + "x" + std::to_string(c.height) +
              " x " + std::to_string(c.batch),
          y,
          conv_reference(c, quantised ? taps_fastest(values, c) : values, values_of(x),
                         b ? static_cast<float *>(b->data) : nullptr, y->ne[0], y->ne[1]),
          tolerance_of(type));
}

/// An image gives the same bits alone and as part of a batch, on any number of threads.
void test_batch_invariance(ggml_type type, int64_t side, int64_t in, int64_t out) {
    Context context(64u << 20);
    ggml_tensor * w = ggml_is_quantized(type) ? make(context, type, {in, 9, out}, random_source)
                                              : make(context, type, {3, 3, in, out}, random_source);
    ggml_tensor * both = make(context, GGML_TYPE_F32, {side, side, in, 2}, random_source);
    ggml_tensor * second =
        ggml_view_4d(context, both, side, side, in, 1, both->nb[1], both->nb[2], both->nb[3], both->nb[3]);
    ggml_tensor * together = kernels::conv2d(context, env, w, both, nullptr, {});
    ggml_tensor * alone = kernels::conv2d(context, env, w, second, nullptr, {});
    run(together, 2);
    run(alone, 3);
    const char * in_batch = static_cast<char *>(together->data) + together->nb[3];
    check(std::memcmp(in_batch, alone->data, ggml_nbytes(alone)) == 0,
          "conv " + std::string(ggml_type_name(type)) + " " + std::to_string(in) + "->" +
              std::to_string(out) + " " + std::to_string(side) + "^2 differs alone and in a batch");
}

/// An aborted operation returns and leaves no state behind.
void test_abort() {
    Context context(64u << 20);
    std::atomic<bool> abort{true};
    const kernels::Env stopped{&abort};
    ggml_tensor * w = make(context, GGML_TYPE_F32, {3, 3, 32, 32}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {32, 32, 32, 1}, random_source);
    ggml_tensor * y = kernels::conv2d(context, stopped, w, x, nullptr, {});
    run(y, 2);  // must return
    abort = false;
    run(y, 2);  // must work again: nothing of the aborted run is left
    const ConvCase c{32, 32, 32, 32, 1, 3, {}};
    check("conv after an abort", y, conv_reference(c, values_of(w), values_of(x), nullptr, 32, 32), 5e-6);
}

}  // namespace

void test_convolutions() {
    kernels::ConvParams same, none, down, vae_down, up;
    none.pad_left = none.pad_right = none.pad_top = none.pad_bottom = 0;
    down.stride = vae_down.stride = 2;
    vae_down.pad_left = vae_down.pad_top = 0;
    up.upsample2 = true;
    for (ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K}) {
        const bool q = ggml_is_quantized(type);
        for (const kernels::ConvParams & params : {same, none, down, vae_down, up}) {
            test_conv(type, {16, 16, q ? 256 : 64, 48, 1, 3, params}, true);
            if (q) test_conv(type, {8, 8, 768, 270, 2, 3, params}, true);
            if (type == GGML_TYPE_Q8_0) test_conv(type, {5, 3, 96, 7, 3, 3, params}, false);
            test_conv(type, {23, 17, q ? 256 : 37, 29, 2, 3, params}, true);
            if (!q) test_conv(type, {64, 40, 20, 33, 1, 3, params}, false);
            if (!q) test_conv(type, {9, 6, 4, 70, 2, 3, params}, true);
            if (!q) test_conv(type, {33, 70, 70, 4, 1, 3, params}, true);
            if (!q) test_conv(type, {3, 3, 70, 70, 1, 3, params}, true);
        }
        test_conv(type, {24, 16, 256, 40, 2, 1, none}, true);
        if (!q) test_conv(type, {16, 24, 3, 40, 1, 5, same}, true);
    }
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0})
        for (int64_t side : {4, 8, 12, 16, 33, 64}) test_batch_invariance(type, side, 352, 40);
    test_abort();
}

}  // namespace imageforge::kernels_test
