// Tests norms and activations.
#include "kernels_check.h"

namespace imageforge::kernels_test {

namespace {

void test_group_norm(int64_t width, int64_t height, int64_t channels, int64_t batch, int groups, bool silu,
                     float offset) {
    Context context(64u << 20);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {width, height, channels, batch}, random_source);
    for (int64_t i = 0; i < ggml_nelements(x); i++) static_cast<float *>(x->data)[i] += offset;
    ggml_tensor * w = make(context, GGML_TYPE_F32, {channels}, random_source);
    ggml_tensor * b = make(context, GGML_TYPE_F32, {channels}, random_source);
    kernels::GroupNormParams params{groups, 1e-5f, silu};
    ggml_tensor * y = kernels::group_norm(context, env, x, w, b, params);
    const std::vector<float> xv = values_of(x), wv = values_of(w), bv = values_of(b);
    std::vector<double> expected(xv.size());
    const int64_t plane = width * height, size = plane * channels / groups;
    for (int64_t g = 0; g < groups * batch; g++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < size; i++) mean += xv[g * size + i];
        mean /= size;
        for (int64_t i = 0; i < size; i++) variance += (xv[g * size + i] - mean) * (xv[g * size + i] - mean);
        variance /= size;
        for (int64_t i = 0; i < size; i++) {
            const int64_t c = (g * size + i) / plane % channels;
            const double v = (xv[g * size + i] - mean) / std::sqrt(variance + 1e-5) * wv[c] + bv[c];
            expected[g * size + i] = silu ? v / (1 + std::exp(-v)) : v;
        }
    }
    check("group_norm " + std::to_string(plane) + " x " + std::to_string(channels) + (silu ? " silu" : ""), y,
          expected, offset != 0 ? 2e-5 : 2e-6);

    params.statistics = kernels::group_statistics(context, env, x, groups, 1e-5f);
    run(params.statistics, 2);
    ggml_tensor * given = kernels::group_norm(context, env, x, w, b, params);
    check("group_norm with given statistics", given, expected, offset != 0 ? 2e-5 : 2e-6);
    params.in_place = true;
    ggml_tensor * over = kernels::group_norm(context, env, x, w, b, params);
    run(over, 2);
    check(over->data == x->data && values_of(over) == values_of(given),
          "group_norm in place: not what it is in a place of its own");
}

void test_layer_norm(int64_t width, int64_t rows, bool affine) {
    Context context(64u << 20);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {width, rows}, random_source);
    ggml_tensor * w = affine ? make(context, GGML_TYPE_F32, {width}, random_source) : nullptr;
    ggml_tensor * b = affine ? make(context, GGML_TYPE_F32, {width}, random_source) : nullptr;
    ggml_tensor * y = kernels::layer_norm(context, env, x, w, b, 1e-5f);
    const std::vector<float> xv = values_of(x);
    std::vector<double> expected(xv.size());
    for (int64_t r = 0; r < rows; r++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < width; i++) mean += xv[r * width + i];
        mean /= width;
        for (int64_t i = 0; i < width; i++)
            variance += (xv[r * width + i] - mean) * (xv[r * width + i] - mean);
        for (int64_t i = 0; i < width; i++) {
            double v = (xv[r * width + i] - mean) / std::sqrt(variance / width + 1e-5);
            if (affine) v = v * static_cast<float *>(w->data)[i] + static_cast<float *>(b->data)[i];
            expected[r * width + i] = v;
        }
    }
    check("layer_norm " + std::to_string(width), y, expected, 2e-6);
}

void test_geglu(int64_t width, int64_t rows) {
    Context context(64u << 20);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {2 * width, rows}, random_source, 2.0f);
    ggml_tensor * y = kernels::geglu(context, env, x);
    const std::vector<float> xv = values_of(x);
    std::vector<double> expected(width * rows);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < width; i++) {
            const double gate = xv[r * 2 * width + width + i];
            expected[r * width + i] =
                xv[r * 2 * width + i] * 0.5 * gate * (1 + std::erf(gate / std::sqrt(2.0)));
        }
    check("geglu " + std::to_string(width), y, expected, 1e-6);
}

/// Takes a part of wider rows, with and without another tensor's rows before it.
void test_activate(kernels::Activation kind, int64_t width, int64_t beside_width, int64_t rows) {
    Context context(64u << 20);
    const bool gated = kind == kernels::Activation::Swiglu;
    const int64_t in = (gated ? 2 : 1) * width, whole = in + 10;
    ggml_tensor * all = make(context, GGML_TYPE_F32, {whole, rows}, random_source, 4.0f);
    ggml_tensor * x = ggml_view_2d(context, all, in, rows, all->nb[1], 7 * sizeof(float));
    ggml_tensor * beside =
        beside_width ? make(context, GGML_TYPE_F32, {beside_width, rows}, random_source) : nullptr;
    ggml_tensor * y = kernels::activate(context, env, kind, x, beside);
    const std::vector<float> xv = values_of(all), bv = beside ? values_of(beside) : std::vector<float>();
    std::vector<double> expected;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < beside_width; i++) expected.push_back(bv[r * beside_width + i]);
        for (int64_t i = 0; i < width; i++) {
            const double v = xv[r * whole + 7 + i];
            if (gated)
                expected.push_back(v / (1 + std::exp(-v)) * xv[r * whole + 7 + width + i]);
            else
                expected.push_back(v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))));
        }
    }
    check((gated ? "swiglu " : "gelu_tanh ") + std::to_string(width), y, expected, 1e-6);
}

}  // namespace

void test_norms_and_activations() {
    for (bool silu : {false, true}) {
        test_group_norm(8, 8, 64, 2, 32, silu, 0);
        test_group_norm(33, 17, 96, 1, 32, silu, 0);
        test_group_norm(3, 3, 32, 2, 32, silu, 0);
        test_group_norm(64, 64, 64, 1, 32, silu, 50.0f);
    }
    for (int64_t width : {5, 64, 320, 770, 3072}) {
        test_layer_norm(width, 13, true);
        test_layer_norm(width, 3, false);
        test_geglu(width, 7);
        for (const auto kind : {kernels::Activation::GeluTanh, kernels::Activation::Swiglu}) {
            test_activate(kind, width, 0, 7);
            test_activate(kind, width, 37, 7);
        }
    }
}

}  // namespace imageforge::kernels_test
