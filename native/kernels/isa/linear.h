// y = x · Wᵀ + bias. Tokens are the rows of the register tile, outputs its columns.
#pragma once
#include "gemm.h"

namespace imageforge::kernels {
namespace {

constexpr int few_tokens = 8;  // for as few tokens, packing the weights costs more than it saves

/// Weight rows `base`, `base + row_bytes`, … times each token, values read by `at(row, k)` and, for the last
/// few, `at_n(row, k, n)`: weights go from memory straight into registers.
template <int Rows, int Tokens, typename At, typename AtN>
inline void dot_values(const float * x, int64_t in, At at, AtN at_n, F (*acc)[Tokens]) {
    int64_t k = 0;
    for (; k + L <= in; k += L) {
        for (int r = 0; r < Rows; r++) {
            const F v = at(r, k);
            for (int t = 0; t < Tokens; t++) acc[r][t] = fma(v, load(x + t * in + k), acc[r][t]);
        }
    }
    if (k == in) return;
    const int rest = static_cast<int>(in - k);
    for (int r = 0; r < Rows; r++) {
        const F v = at_n(r, k, rest);
        for (int t = 0; t < Tokens; t++) acc[r][t] = fma(v, load_n(x + t * in + k, rest), acc[r][t]);
    }
}

/// For blocks of 32 with one scale, which is applied once for each block.
template <int Rows, int Tokens>
inline void dot_blocks(const WeightView & w, const char * base, const float * x, F (*acc)[Tokens]) {
    const int64_t in = w.columns;
    for (int64_t k = 0; k < in; k += 32, base += w.block_bytes) {
        for (int r = 0; r < Rows; r++) {
            const char * block = base + r * w.row_bytes;
            __builtin_prefetch(block + 2048);
            alignas(64) int8_t nibbles[32];
            const auto [scale, values] = open_block(w.storage, block, nibbles);
            F sums[Tokens];
            for (int t = 0; t < Tokens; t++) sums[t] = mul(load_i8(values), load(x + t * in + k));
            for (int i = L; i < 32; i += L) {
                const F v = load_i8(values + i);
                for (int t = 0; t < Tokens; t++) sums[t] = fma(v, load(x + t * in + k + i), sums[t]);
            }
            for (int t = 0; t < Tokens; t++) acc[r][t] = fma(scale, sums[t], acc[r][t]);
        }
    }
}

/// For the other quantised types: ggml unpacks a few blocks at a time.
template <int Rows, int Tokens>
inline void dot_unpacked(const WeightView & w, const char * base, const float * x, F (*acc)[Tokens]) {
    constexpr int64_t chunk = 1024;
    alignas(64) float unpacked[chunk];
    for (int64_t k0 = 0; k0 < w.columns; k0 += chunk) {
        const int64_t n = lesser(chunk, w.columns - k0);
        for (int r = 0; r < Rows; r++) {
            w.to_float(base + r * w.row_bytes + k0 / w.block * w.block_bytes, unpacked, n);
            for (int64_t k = 0; k < n; k += L) {
                const F v = load(unpacked + k);
                for (int t = 0; t < Tokens; t++)
                    acc[r][t] = fma(v, load(x + t * w.columns + k0 + k), acc[r][t]);
            }
        }
    }
}

template <int Rows, int Tokens>
inline void linear_few_rows(const LinearArgs & args, int64_t out) {
    const WeightView & w = args.weight;
    const char * base = w.data + out * w.row_bytes;
    const auto halves = [=](int r, int64_t k) { return (const uint16_t *)(base + r * w.row_bytes) + k; };
    const auto floats = [=](int r, int64_t k) { return (const float *)(base + r * w.row_bytes) + k; };
    F acc[Rows][Tokens];
    for (int r = 0; r < Rows; r++)
        for (int t = 0; t < Tokens; t++) acc[r][t] = zero();
    switch (w.storage) {
        case Storage::F32:
            dot_values<Rows>(
                args.x, w.columns, [=](int r, int64_t k) { return load(floats(r, k)); },
                [=](int r, int64_t k, int n) { return load_n(floats(r, k), n); }, acc);
            break;
        case Storage::F16:
            dot_values<Rows>(
                args.x, w.columns, [=](int r, int64_t k) { return load_f16(halves(r, k)); },
                [=](int r, int64_t k, int n) { return load_f16_n(halves(r, k), n); }, acc);
            break;
        case Storage::BF16:
            dot_values<Rows>(
                args.x, w.columns, [=](int r, int64_t k) { return load_bf16(halves(r, k)); },
                [=](int r, int64_t k, int n) { return load_bf16_n(halves(r, k), n); }, acc);
            break;
        case Storage::Q8_0:
        case Storage::Q4_0:
            dot_blocks<Rows>(w, base, args.x, acc);
            break;
        case Storage::Quantised:
            dot_unpacked<Rows>(w, base, args.x, acc);
            break;
    }
    for (int r = 0; r < Rows; r++)
        for (int t = 0; t < Tokens; t++)
            args.y[t * w.rows + out + r] = sum(acc[r][t]) + (args.bias ? args.bias[out + r] : 0.0f);
}

/// Two rows at a time while their sums fit into registers, because the additions of one row wait for each
/// other.
template <int Tokens>
void linear_few(const LinearArgs & args, int64_t out0, int64_t out1) {
    constexpr int rows = Tokens <= 4 ? 2 : 1;
    int64_t out = out0;
    for (; out + rows <= out1; out += rows) linear_few_rows<rows, Tokens>(args, out);
    for (; out < out1; out++) linear_few_rows<1, Tokens>(args, out);
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
