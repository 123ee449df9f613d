// Compares every kernel with a plain double-precision reference over odd sizes, strides, paddings and weight
// types. Prints one line per failure and a count; IMAGEFORGE_ISA chooses the instruction set under test.
#include "kernels/kernels.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>

#include "kernels_run.h"

using namespace imageforge;
using namespace imageforge::kernels_test;

namespace {

const kernels::Env env;
std::mt19937 random_source(1);
int checks = 0, failures = 0;
double worst_f32 = 0, worst_quantised = 0;

/// Relative L2 distance of the node's result from the expected values, on 1, 2 and 5 threads, twice each.
void check(const std::string & what, ggml_tensor * node, const std::vector<double> & expected,
           double tolerance) {
    for (int threads : {1, 2, 5}) {
        float * y = static_cast<float *>(node->data);
        for (size_t i = 0; i < expected.size(); i++) y[i] = NAN;
        run(node, threads);
        double difference = 0, norm = 0;
        for (size_t i = 0; i < expected.size(); i++) {
            difference += (y[i] - expected[i]) * (y[i] - expected[i]);
            norm += expected[i] * expected[i];
        }
        const double error = std::sqrt(difference / (norm > 0 ? norm : 1));
        checks++;
        double & worst = tolerance < 1e-4 ? worst_f32 : worst_quantised;
        worst = std::max(worst, error);
        if (!(error <= tolerance)) {
            failures++;
            std::printf("FAILED %s, %d threads: relative error %.3g, allowed %.3g\n", what.c_str(), threads,
                        error, tolerance);
        }
    }
}

double tolerance_of(ggml_type type) { return ggml_is_quantized(type) ? 0.012 : 5e-6; }

void test_linear(ggml_type type, int64_t in, int64_t out, int64_t tokens, bool with_bias) {
    Context context(64u << 20);
    ggml_tensor * w = make(context, type, {in, out}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {in, tokens}, random_source);
    ggml_tensor * b = with_bias ? make(context, GGML_TYPE_F32, {out}, random_source) : nullptr;
    ggml_tensor * y = kernels::linear(context, env, w, x, b);
    const std::vector<float> wv = values_of(w), xv = values_of(x);
    std::vector<double> expected(out * tokens);
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t o = 0; o < out; o++) {
            double sum = b ? static_cast<float *>(b->data)[o] : 0;
            for (int64_t k = 0; k < in; k++) sum += static_cast<double>(wv[o * in + k]) * xv[t * in + k];
            expected[t * out + o] = sum;
        }
    }
    check("linear " + std::string(ggml_type_name(type)) + " " + std::to_string(in) + "->" +
              std::to_string(out) + " x " + std::to_string(tokens),
          y, expected, tolerance_of(type));
}

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

/// [out][tap][in], as quantised kernels lie, to [out][in][tap].
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

void test_attention(int64_t d, int64_t heads, int64_t lq, int64_t lk, int64_t batch, bool masked, bool causal,
                    bool fused) {
    Context context(64u << 20);
    auto operand = [&](int64_t length, int part) {
        if (!fused) return make(context, GGML_TYPE_F32, {d, heads, length, batch}, random_source);
        ggml_tensor * all = make(context, GGML_TYPE_F32, {3 * d * heads, length, batch}, random_source);
        return ggml_view_4d(context, all, d, heads, length, batch, d * sizeof(float), all->nb[1], all->nb[2],
                            part * d * heads * sizeof(float));
    };
    ggml_tensor *q = operand(lq, 0), *k = operand(lk, 1), *v = operand(lk, 2);
    ggml_tensor * mask = masked ? make(context, GGML_TYPE_F32, {lk, lq}, random_source) : nullptr;
    if (mask && lk > 3) {
        for (int64_t i = 0; i < lq; i++) static_cast<float *>(mask->data)[i * lk + (i + 1) % lk] = -INFINITY;
    }
    const float scale = 1.0f / std::sqrt(static_cast<float>(d));
    ggml_tensor * y = kernels::attention(context, env, q, k, v, mask, scale, causal);
    auto at = [](ggml_tensor * t, int64_t i, int64_t h, int64_t row, int64_t n) {
        return *reinterpret_cast<float *>(static_cast<char *>(t->data) + i * 4 + h * t->nb[1] +
                                          row * t->nb[2] + n * t->nb[3]);
    };
    std::vector<double> expected(d * heads * lq * batch), score(lk);
    for (int64_t n = 0; n < batch; n++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < lq; i++) {
                const int64_t keys = causal && i + 1 < lk ? i + 1 : lk;
                double top = -1e300, total = 0;
                for (int64_t j = 0; j < keys; j++) {
                    double s = 0;
                    for (int64_t c = 0; c < d; c++)
                        s += static_cast<double>(at(q, c, h, i, n)) * at(k, c, h, j, n);
                    score[j] = s * scale + (mask ? static_cast<float *>(mask->data)[i * lk + j] : 0.0f);
                    top = std::max(top, score[j]);
                }
                for (int64_t j = 0; j < keys; j++) total += score[j] = std::exp(score[j] - top);
                for (int64_t c = 0; c < d; c++) {
                    double sum = 0;
                    for (int64_t j = 0; j < keys; j++) sum += score[j] * at(v, c, h, j, n);
                    expected[((n * lq + i) * heads + h) * d + c] = sum / total;
                }
            }
    check("attention d" + std::to_string(d) + " heads " + std::to_string(heads) + " " + std::to_string(lq) +
              " x " + std::to_string(lk) + (masked ? " masked" : "") + (causal ? " causal" : "") +
              (fused ? " fused" : ""),
          y, expected, 3e-6);
}

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
    checks++;
    if (over->data != x->data || values_of(over) != values_of(given)) {
        failures++;
        std::printf("FAILED group_norm in place: not what it is in a place of its own\n");
    }
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

/// A part of wider rows, with and without another tensor's rows before it.
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

void test_abort() {
    Context context(64u << 20);
    std::atomic<bool> abort{true};
    const kernels::Env stopped{&abort};
    ggml_tensor * w = make(context, GGML_TYPE_F32, {3, 3, 32, 32}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {32, 32, 32, 1}, random_source);
    ggml_tensor * y = kernels::conv2d(context, stopped, w, x, nullptr, {});
    run(y, 2);  // has to return
    abort = false;
    run(y, 2);  // and to work afterwards: nothing of the aborted run stays behind
    const ConvCase c{32, 32, 32, 32, 1, 3, {}};
    check("conv after an abort", y, conv_reference(c, values_of(w), values_of(x), nullptr, 32, 32), 5e-6);
}

/// An abort in the middle of a long operation takes effect soon.
void test_abort_latency() {
    Context context(512u << 20);
    std::atomic<bool> abort{false};
    const kernels::Env stoppable{&abort};
    ggml_tensor * w = make(context, GGML_TYPE_F16, {4096, 8192}, random_source);
    ggml_tensor * x = ggml_new_tensor_2d(context, GGML_TYPE_F32, 4096, 4096);
    std::memset(x->data, 0, ggml_nbytes(x));
    ggml_tensor * node = kernels::linear(context, stoppable, w, x, nullptr);
    using Clock = std::chrono::steady_clock;
    std::thread caller([&] { run(node, 2); });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    const Clock::time_point start = Clock::now();
    abort = true;
    caller.join();
    const double latency = std::chrono::duration<double>(Clock::now() - start).count();
    checks++;
    if (latency > 0.25) {
        failures++;
        std::printf("FAILED abort: took %.3f s\n", latency);
    }
}

/// An image gives the same bits by itself and as part of a batch, on any number of threads.
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
    checks++;
    if (std::memcmp(static_cast<char *>(together->data) + together->nb[3], alone->data, ggml_nbytes(alone)) !=
        0) {
        failures++;
        std::printf("FAILED: conv %s %d->%d %d^2 differs alone and in a batch\n", ggml_type_name(type),
                    static_cast<int>(in), static_cast<int>(out), static_cast<int>(side));
    }
}

}  // namespace

int main() {
    std::printf("kernels: %s\n", kernels::name());
    if (!kernels::available()) return 0;
    const ggml_type types[] = {GGML_TYPE_F32,  GGML_TYPE_F16,    GGML_TYPE_BF16,  GGML_TYPE_Q8_0,
                               GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,   GGML_TYPE_Q5_0,  GGML_TYPE_Q5_1,
                               GGML_TYPE_Q2_K, GGML_TYPE_Q3_K,   GGML_TYPE_Q4_K,  GGML_TYPE_Q5_K,
                               GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS};
    for (ggml_type type : types) {
        const bool quantised = ggml_is_quantized(type);
        for (int64_t tokens : {1, 2, 7, 8, 9, 77, 130}) {
            test_linear(type, 512, 96, tokens, true);
            test_linear(type, 1280, 333, tokens, false);
            if (!quantised) test_linear(type, 71, 50, tokens, true);
            if (!quantised) test_linear(type, 5, 3, tokens, true);
        }
    }
    test_linear(GGML_TYPE_F16, 320, 1100, 600, true);
    test_linear(GGML_TYPE_Q4_K, 2816, 1030, 200, true);

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
    for (int64_t d : {8, 40, 48, 64, 72, 80, 128, 160, 512}) {
        test_attention(d, 2, 70, 77, 1, false, false, false);
        test_attention(d, 1, 19, 513, 2, false, false, true);
        test_attention(d, 2, 77, 77, 1, false, true, false);
        test_attention(d, 1, 50, 300, 1, true, false, true);
    }
    test_attention(40, 8, 600, 600, 1, false, false, true);
    test_attention(64, 2, 300, 300, 1, true, true, true);
    test_attention(7, 3, 1, 1, 1, false, false, false);

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
    test_abort();
    test_abort_latency();
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0})
        for (int64_t side : {4, 8, 12, 16, 33, 64}) test_batch_invariance(type, side, 352, 40);
    std::printf(
        "%d checks, %d failed; largest error in F32 %.2g, with 8-bit activations %.2g; scratch %.1f MiB\n",
        checks, failures, worst_f32, worst_quantised, kernels::scratch_bytes() / 1048576.0);
    kernels::release_scratch();
    if (kernels::scratch_bytes() != 0) failures++;
    return failures ? 1 : 0;
}
