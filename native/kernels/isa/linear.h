// y = x · Wᵀ + bias. Tokens are the rows of the register tile, outputs its columns.
#pragma once

namespace imageforge::kernels {
namespace {

constexpr int few_tokens = 8;  // up to here packing the weights costs more than it gives

/// One weight row's values [k0, k0 + n) times each token, n a multiple of the storage's block.
template <int Tokens>
inline void dot_rows(const float * w, const LinearArgs & args, int64_t k0, int64_t n, F * acc) {
    const int64_t in = args.weight.columns;
    int64_t k = 0;
    for (; k + L <= n; k += L) {
        const F v = load(w + k);
        for (int t = 0; t < Tokens; t++) acc[t] = fma(v, load(args.x + t * in + k0 + k), acc[t]);
    }
    if (k < n) {
        const int rest = static_cast<int>(n - k);
        const F v = load_n(w + k, rest);
        for (int t = 0; t < Tokens; t++) acc[t] = fma(v, load_n(args.x + t * in + k0 + k, rest), acc[t]);
    }
}

inline const float * unpack_row(const WeightView & w, int64_t row, int64_t k0, int64_t n, float * unpacked) {
    const char * base = w.data + row * w.row_bytes;
    if (w.storage == Storage::F32) return (const float *)base + k0;
    if (w.storage == Storage::F16 || w.storage == Storage::BF16) {
        const uint16_t * from = (const uint16_t *)base + k0;
        const bool f16 = w.storage == Storage::F16;
        int64_t k = 0;
        for (; k + L <= n; k += L) store(unpacked + k, f16 ? load_f16(from + k) : load_bf16(from + k));
        const int rest = static_cast<int>(n - k);
        if (rest) store_n(unpacked + k, rest, f16 ? load_f16_n(from + k, rest) : load_bf16_n(from + k, rest));
        return unpacked;
    }
    unpack_quantised(w, base, k0, n, unpacked);
    return unpacked;
}

template <int Tokens>
void linear_few(const LinearArgs & args, int64_t out0, int64_t out1) {
    constexpr int64_t chunk = 1024;
    alignas(64) float unpacked[chunk];
    const int64_t in = args.weight.columns, out = args.weight.rows;
    for (int64_t o = out0; o < out1; o++) {
        F acc[Tokens];
        for (int t = 0; t < Tokens; t++) acc[t] = zero();
        for (int64_t k0 = 0; k0 < in; k0 += chunk) {
            const int64_t n = lesser(chunk, in - k0);
            dot_rows<Tokens>(unpack_row(args.weight, o, k0, n, unpacked), args, k0, n, acc);
        }
        for (int t = 0; t < Tokens; t++)
            args.y[t * out + o] = sum(acc[t]) + (args.bias ? args.bias[o] : 0.0f);
    }
}

void linear_few_tokens(const LinearArgs & args, Team & team) {
    static constexpr void (*const by_tokens[])(const LinearArgs &, int64_t, int64_t) = {
        linear_few<1>, linear_few<2>, linear_few<3>, linear_few<4>,
        linear_few<5>, linear_few<6>, linear_few<7>, linear_few<8>};
    const int64_t out = args.weight.rows, size = 64;
    for (int64_t item; (item = team.claim()) < parts(out, size) && !team.stopped();) {
        by_tokens[args.tokens - 1](args, item * size, lesser(out, (item + 1) * size));
    }
}

void linear_f32(const LinearArgs & args, Team & team) {
    const int64_t in = args.weight.columns, out = args.weight.rows, tokens = args.tokens;
    const Grid grid(tokens, out, 1, team.size);
    const WeightView x = matrix_f32(args.x, tokens, in, in * sizeof(float));
    Scratch scratch(GemmBuffers::bytes());
    const GemmBuffers buffers(scratch);
    const Output output{args.y, out, nullptr, args.bias};
    for (int64_t item; (item = team.claim()) < grid.items() && !team.stopped();) {
        const int64_t row = item % grid.row_parts * grid.row_size;
        const int64_t column = item / grid.row_parts * grid.column_size;
        gemm(
            row, lesser(tokens, row + grid.row_size), column, lesser(out, column + grid.column_size), in,
            inner_block(in, args.weight.block), output, buffers, team,
            [&](int64_t i, int64_t n, int64_t k0, int64_t kc, float * to) {
                pack_a(x, i, n, k0, kc, to, buffers.unpacked);
            },
            [&](int64_t j, int64_t n, int vectors, int64_t k0, int64_t kc, float * to) {
                pack_b(args.weight, j, n, vectors, k0, kc, to, buffers.unpacked);
            });
    }
}

}  // namespace
}  // namespace imageforge::kernels
