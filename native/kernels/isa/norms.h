// The memory-bound operations: group norm (with SiLU), layer norm, gated and plain activations. One pass for
// the statistics, one to apply.
#pragma once
#include "../table.h"
#include "math.h"

namespace imageforge::kernels {
namespace {

/// Mean and sum of squared deviations, merged chunk by chunk in double precision (Chan, Golub and LeVeque): a
/// chunk is still in L1 for its second pass, so memory is read once and nothing cancels.
struct Moments {
    double count = 0, mean = 0, squares = 0;

    void add_chunk(const float * x, int64_t n) {
        F s0 = zero(), s1 = zero();
        int64_t i = 0;
        for (; i + 2 * L <= n; i += 2 * L) {
            s0 = add(s0, load(x + i));
            s1 = add(s1, load(x + i + L));
        }
        float total = sum(add(s0, s1));
        for (; i < n; i++) total += x[i];
        const float chunk_mean = total / static_cast<float>(n);

        const F m = set1(chunk_mean);
        F d0 = zero(), d1 = zero();
        for (i = 0; i + 2 * L <= n; i += 2 * L) {
            const F a = sub(load(x + i), m), b = sub(load(x + i + L), m);
            d0 = fma(a, a, d0);
            d1 = fma(b, b, d1);
        }
        float deviation = sum(add(d0, d1));
        for (; i < n; i++) deviation += (x[i] - chunk_mean) * (x[i] - chunk_mean);

        const double delta = chunk_mean - mean, both = count + static_cast<double>(n);
        squares += deviation + delta * delta * count * static_cast<double>(n) / both;
        mean += delta * static_cast<double>(n) / both;
        count = both;
    }
    void add_all(const float * x, int64_t n) {
        constexpr int64_t chunk = 2048;
        for (int64_t i = 0; i < n; i += chunk) add_chunk(x + i, lesser(chunk, n - i));
    }
    double deviation(float eps) const { return __builtin_sqrt(squares / count + static_cast<double>(eps)); }
    float inverse_deviation(float eps) const { return static_cast<float>(1.0 / deviation(eps)); }
};

template <bool Silu>
inline void scale_shift(const float * x, float * y, int64_t n, float scale, float shift) {
    const F a = set1(scale), b = set1(shift);
    int64_t i = 0;
    for (; i + L <= n; i += L) {
        const F v = fma(load(x + i), a, b);
        store(y + i, Silu ? silu(v) : v);
    }
    if (i < n) {
        const int rest = static_cast<int>(n - i);
        const F v = fma(load_n(x + i, rest), a, b);
        store_n(y + i, rest, Silu ? silu(v) : v);
    }
}

void group_norm(const GroupNormArgs & args, Team & team) {
    const int64_t per_group = args.channels / args.groups, size = per_group * args.plane;
    for (int64_t item; (item = team.claim()) < args.groups * args.batch && !team.stopped();) {
        const int64_t group = item % args.groups;
        const float * x = args.x + item * size;
        float * y = args.y + item * size;
        double mean;
        float inverse;
        if (args.statistics) {
            mean = static_cast<double>(args.statistics[2 * item]);
            inverse = 1.0f / args.statistics[2 * item + 1];
        } else {
            Moments moments;
            moments.add_all(x, size);
            mean = moments.mean;
            inverse = moments.inverse_deviation(args.eps);
        }
        for (int64_t c = 0; c < per_group; c++, x += args.plane, y += args.plane) {
            const int64_t channel = group * per_group + c;
            const float scale = args.weight ? args.weight[channel] * inverse : inverse;
            const float shift = (args.bias ? args.bias[channel] : 0.0f) -
                                static_cast<float>(mean * static_cast<double>(scale));
            if (args.silu) {
                scale_shift<true>(x, y, args.plane, scale, shift);
            } else {
                scale_shift<false>(x, y, args.plane, scale, shift);
            }
        }
    }
}

void group_statistics(const GroupNormArgs & args, Team & team) {
    const int64_t size = args.channels / args.groups * args.plane;
    for (int64_t item; (item = team.claim()) < args.groups * args.batch && !team.stopped();) {
        Moments moments;
        moments.add_all(args.x + item * size, size);
        args.y[2 * item] = static_cast<float>(moments.mean);
        args.y[2 * item + 1] = static_cast<float>(moments.deviation(args.eps));
    }
}

inline void layer_norm_row(const LayerNormArgs & args, const float * x, float * y) {
    Moments moments;
    moments.add_all(x, args.width);
    const F inverse = set1(moments.inverse_deviation(args.eps)),
            mean = set1(static_cast<float>(moments.mean));
    int64_t i = 0;
    for (; i + L <= args.width; i += L) {
        F v = mul(sub(load(x + i), mean), inverse);
        if (args.weight) v = mul(v, load(args.weight + i));
        if (args.bias) v = add(v, load(args.bias + i));
        store(y + i, v);
    }
    for (; i < args.width; i++) {
        float v = (x[i] - static_cast<float>(moments.mean)) * moments.inverse_deviation(args.eps);
        if (args.weight) v *= args.weight[i];
        y[i] = args.bias ? v + args.bias[i] : v;
    }
}

void layer_norm(const LayerNormArgs & args, Team & team) {
    const int64_t rows = greater<int64_t>(1, 16384 / args.width), items = parts(args.rows, rows);
    for (int64_t item; (item = team.claim()) < items && !team.stopped();) {
        for (int64_t r = item * rows; r < lesser(args.rows, (item + 1) * rows); r++) {
            layer_norm_row(args, args.x + r * args.width, args.y + r * args.width);
        }
    }
}

template <bool Gated>
inline void activate_row(const float * x, float * y, int64_t width) {
    int64_t i = 0;
    for (; i + L <= width; i += L) {
        const F v = load(x + i);
        store(y + i, Gated ? mul(silu(v), load(x + width + i)) : gelu_tanh(v));
    }
    if (i < width) {
        const int rest = static_cast<int>(width - i);
        const F v = load_n(x + i, rest);
        store_n(y + i, rest, Gated ? mul(silu(v), load_n(x + width + i, rest)) : gelu_tanh(v));
    }
}

void activate(const ActivateArgs & args, Team & team) {
    const int64_t rows = greater<int64_t>(1, 16384 / args.width), items = parts(args.rows, rows);
    for (int64_t item; (item = team.claim()) < items && !team.stopped();) {
        for (int64_t r = item * rows; r < lesser(args.rows, (item + 1) * rows); r++) {
            const float * x = args.x + r * args.row_stride;
            float * y = args.y + r * (args.beside_width + args.width);
            if (args.beside) copy_floats(y, args.beside + r * args.beside_width, args.beside_width);
            if (args.gated)
                activate_row<true>(x, y + args.beside_width, args.width);
            else
                activate_row<false>(x, y + args.beside_width, args.width);
        }
    }
}

void geglu(const GegluArgs & args, Team & team) {
    const int64_t rows = greater<int64_t>(1, 16384 / args.width), items = parts(args.rows, rows);
    for (int64_t item; (item = team.claim()) < items && !team.stopped();) {
        for (int64_t r = item * rows; r < lesser(args.rows, (item + 1) * rows); r++) {
            const float *value = args.x + r * 2 * args.width, *gate = value + args.width;
            float * y = args.y + r * args.width;
            int64_t i = 0;
            for (; i + L <= args.width; i += L) store(y + i, mul(load(value + i), gelu_erf(load(gate + i))));
            if (i < args.width) {
                const int rest = static_cast<int>(args.width - i);
                store_n(y + i, rest, mul(load_n(value + i, rest), gelu_erf(load_n(gate + i, rest))));
            }
        }
    }
}

}  // namespace
}  // namespace imageforge::kernels
