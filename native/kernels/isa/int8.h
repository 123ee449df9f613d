// y = x · Wᵀ + bias for quantised weights on 8-bit dot products. Activations are quantised in blocks of 32
// with a scale each, as ggml does; weights keep their own 8- or 4-bit values and scales where their blocks
// are 32 wide, and are requantised to 8 bits in blocks of 32 otherwise. Sums of a block are exact; scales are
// applied in F32.
#pragma once
#include "gemm.h"
#include "int8_dot.h"

namespace imageforge::kernels {
namespace {

constexpr int block_size = 32;
constexpr int int8_rows = 4;  // tokens in a register tile
constexpr int x_block_bytes =
    int8_rows * (block_size + 4);                       // [k / 4][token][4] bytes, then the tokens' scales
constexpr int int8_kc = 512;                            // inner size of a packed panel of weights: 30 KiB
constexpr int w_bytes_per_output = block_size + 4 + 4;  // per block: scale, offset, values

/// Quantises one block of 32 values of a token into its place among the panel's tokens.
inline void quantise_block(const float * x, uint8_t * block, int token) {
    F top = zero();
    for (int i = 0; i < block_size; i += L) top = max(top, abs(load(x + i)));
    const float largest = highest(top);
    const F factor = set1(largest > 0 ? 127.0f / largest : 0.0f);
    alignas(64) uint8_t bytes[block_size];
    for (int i = 0; i < block_size; i += L) store_bytes(bytes + i, round(mul(load(x + i), factor)));
    for (int i = 0; i < block_size / 4; i++) {
        __builtin_memcpy(block + (i * int8_rows + token) * 4, bytes + i * 4, 4);
    }
    const float scale = largest / 127.0f;
    __builtin_memcpy(block + int8_rows * block_size + token * 4, &scale, 4);
}

/// Tokens [token, token + int8_rows) as one panel; tokens past the end are 0.
inline void quantise_tokens(const LinearArgs & args, int64_t token, uint8_t * panel) {
    const int64_t in = args.weight.columns;
    for (int t = 0; t < int8_rows; t++) {
        alignas(64) static constexpr float nothing[block_size] = {};
        const bool there = token + t < args.tokens;
        for (int64_t b = 0; b < in / block_size; b++) {
            quantise_block(there ? args.x + (token + t) * in + b * block_size : nothing,
                           panel + b * x_block_bytes, t);
        }
    }
}

/// A row as signed bytes with a scale per block of 32.
inline void quantise_row(const float * x, int64_t blocks, int8_t * q, float * scales) {
    for (int64_t b = 0; b < blocks; b++, x += block_size, q += block_size) {
        F top = zero();
        for (int i = 0; i < block_size; i += L) top = max(top, abs(load(x + i)));
        const float largest = highest(top);
        const F factor = set1(largest > 0 ? 127.0f / largest : 0.0f);
        for (int i = 0; i < block_size; i += L) store_signed(q + i, round(mul(load(x + i), factor)));
        scales[b] = largest / 127.0f;
    }
}

/// Values [k0, k0 + kc) of one weight row as signed bytes with a scale per block of 32.
inline void unpack_bytes(const WeightView & w, int64_t row, int64_t k0, int64_t kc, int8_t * q,
                         float * scales) {
    const char * from = w.data + row * w.row_bytes + k0 / w.block * w.block_bytes;
    const int64_t blocks = kc / block_size;
    if (w.storage == Storage::Q8_0 || w.storage == Storage::Q4_0) {
        for (int64_t b = 0; b < blocks; b++, from += w.block_bytes, q += block_size) {
            uint16_t half;
            __builtin_memcpy(&half, from, 2);
            scales[b] = half_to_float(half);
            if (w.storage == Storage::Q8_0) {
                __builtin_memcpy(q, from + 2, block_size);
            } else {
                unpack_nibbles((const uint8_t *)from + 2, q);
            }
        }
        return;
    }
    alignas(64) float values[int8_kc];
    w.to_float(from, values, kc);
    quantise_row(values, blocks, q, scales);
}

/// `count` rows of at most int8_kc bytes as one panel. Per block of 32: scales, offsets and bytes
/// [k / 4][row][4]. get_row(row, bytes, scales) gives a row's.
template <typename GetRow>
inline void pack_bytes(int64_t count, int vectors, int64_t kc, uint8_t * to, GetRow get_row) {
    constexpr int quads = block_size / 4;
    const int width = vectors * L;
    const int64_t block_bytes = width * w_bytes_per_output;
    alignas(64) int8_t q[L * int8_kc];
    float scales[int8_kc / block_size];
    for (int v = 0; v < vectors; v++) {
        const int here = static_cast<int>(lesser<int64_t>(L, greater<int64_t>(0, count - v * L)));
        for (int r = 0; r < L; r++) {
            if (r < here) get_row(v * L + r, q + r * int8_kc, scales);
            for (int64_t b = 0; b < kc / block_size; b++) {
                const float scale = r < here ? scales[b] : 0.0f;
                __builtin_memcpy(to + b * block_bytes + (v * L + r) * 4, &scale, 4);
            }
        }
        const I ones = splat4("\1\1\1\1");
        I total = zero_i();
        const float * rows = (const float *)q;
        transpose_with(
            here, kc / 4, [=](int i, int64_t k) { return load(rows + i * (int8_kc / 4) + k); },
            [=](int i, int64_t k, int n) { return load_n(rows + i * (int8_kc / 4) + k, n); },
            [&](int64_t k, F bytes) {
                uint8_t * block = to + k / quads * block_bytes;
                store_i(block + width * 8 + (k % quads * width + v * L) * 4, as_bytes(bytes));
                total = dot4(k % quads == 0 ? zero_i() : total, ones, as_bytes(bytes));
                if (k % quads == quads - 1) store_i(block + width * 4 + v * L * 4, offset_of(total));
            });
    }
}

/// Outputs [out, out + count) as one panel.
inline void pack_outputs(const WeightView & w, int64_t out, int64_t count, int vectors, int64_t k0,
                         int64_t kc, uint8_t * to) {
    pack_bytes(count, vectors, kc, to, [&](int64_t row, int8_t * q, float * scales) {
        unpack_bytes(w, out + row, k0, kc, q, scales);
    });
}

template <int Vectors>
inline void tile_int8(int64_t blocks, const uint8_t * x, const uint8_t * w, float * c, int64_t c_stride,
                      int rows, int columns, bool accumulate, const float * row_bias,
                      const float * column_bias) {
    constexpr int width = Vectors * L;
    F acc[int8_rows][Vectors];
#pragma GCC unroll 4
    for (int r = 0; r < int8_rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) acc[r][v] = zero();
    }
    for (int64_t b = 0; b < blocks; b++) {
        I sums[int8_rows][Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) {
            const I offset = load_i(w + width * 4 + v * L * 4);
#pragma GCC unroll 4
            for (int r = 0; r < int8_rows; r++) sums[r][v] = offset;
        }
        const uint8_t * bytes = w + width * 8;
#pragma GCC unroll 8
        for (int k = 0; k < block_size / 4; k++) {
            I column[Vectors];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; v++) column[v] = load_i(bytes + (k * width + v * L) * 4);
#pragma GCC unroll 4
            for (int r = 0; r < int8_rows; r++) {
                const I four = splat4(x + (k * int8_rows + r) * 4);
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; v++) sums[r][v] = dot4(sums[r][v], four, column[v]);
            }
        }
        const float * x_scales = (const float *)(x + int8_rows * block_size);
#pragma GCC unroll 4
        for (int r = 0; r < int8_rows; r++) {
            const F x_scale = set1(x_scales[r]);
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; v++) {
                acc[r][v] =
                    fma(to_float(sums[r][v]), mul(load((const float *)w + v * L), x_scale), acc[r][v]);
            }
        }
        x += x_block_bytes;
        w += width * w_bytes_per_output;
    }
#pragma GCC unroll 4
    for (int r = 0; r < int8_rows; r++) {
        if (r >= rows) break;
        float * to = c + r * c_stride;
        const F row = row_bias ? set1(row_bias[r]) : zero();
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) {
            const int n = lesser(L, columns - v * L);
            if (n <= 0) break;
            F y = add(acc[r][v], row);
            if (column_bias) y = add(y, load_n(column_bias + v * L, n));
            if (accumulate) y = add(y, load_n(to + v * L, n));
            store_n(to + v * L, n, y);
        }
    }
}

using TileInt8 = void (*)(int64_t, const uint8_t *, const uint8_t *, float *, int64_t, int, int, bool,
                          const float *, const float *);

inline TileInt8 tile_int8_of(int vectors) {
    return vectors == 3 ? tile_int8<3> : vectors == 2 ? tile_int8<2> : tile_int8<1>;
}

/// As tile_peak, on 8-bit products.
double tile_peak_int8(int64_t repeats) {
    constexpr int64_t blocks = 8;  // both panels together take at most 17 KiB
    constexpr int64_t x_bytes = blocks * x_block_bytes, w_bytes = blocks * NR * w_bytes_per_output;
    Scratch scratch(x_bytes + w_bytes + sizeof(float) * int8_rows * NR);
    uint8_t * x = static_cast<uint8_t *>(scratch.data());
    float * c = (float *)(x + x_bytes + w_bytes);
    zero_floats((float *)x, (x_bytes + w_bytes) / 4 + int8_rows * NR);
    for (int64_t i = 0; i < repeats; i++)
        tile_int8<NV>(blocks, x, x + x_bytes, c, NR, int8_rows, NR, true, nullptr, nullptr);
    return 2.0 * int8_rows * NR * blocks * block_size * static_cast<double>(repeats);
}

/// Rows [row0, row1) and columns [column0, column1) of the product; `x` holds all quantised tokens.
inline void linear_int8_item(const LinearArgs & args, const uint8_t * x, int64_t row0, int64_t row1,
                             int64_t column0, int64_t column1, uint8_t * panel, const Team & team) {
    const int64_t in = args.weight.columns, out = args.weight.rows, blocks = in / block_size;
    for (int64_t j = column0; j < column1 && !team.stopped(); j += NR) {
        const int columns = static_cast<int>(lesser<int64_t>(NR, column1 - j)), vectors = vectors_of(columns);
        const TileInt8 tile = tile_int8_of(vectors);
        for (int64_t k0 = 0; k0 < in; k0 += int8_kc) {
            const int64_t kc = lesser<int64_t>(int8_kc, in - k0);
            pack_outputs(args.weight, j, columns, vectors, k0, kc, panel);
            for (int64_t i = row0; i < row1; i += int8_rows) {
                tile(kc / block_size, x + (i / int8_rows * blocks + k0 / block_size) * x_block_bytes, panel,
                     args.y + i * out + j, out, static_cast<int>(lesser<int64_t>(int8_rows, row1 - i)),
                     columns, k0 > 0, nullptr, k0 == 0 && args.bias ? args.bias + j : nullptr);
            }
        }
    }
}

void linear_int8(const LinearArgs & args, Team & team) {
    const int64_t in = args.weight.columns, panels = parts(args.tokens, int8_rows);
    const int64_t panel_bytes = in / block_size * x_block_bytes;
    Scratch shared(team.index == 0 ? panels * panel_bytes : 0);
    uint8_t * x = static_cast<uint8_t *>(team.share(shared.data()));
    const int64_t panels_per_item = greater<int64_t>(1, 16384 / in);
    for (int64_t item; (item = team.claim()) < parts(panels, panels_per_item) && !team.stopped();) {
        for (int64_t p = item * panels_per_item; p < lesser(panels, (item + 1) * panels_per_item); p++) {
            quantise_tokens(args, p * int8_rows, x + p * panel_bytes);
        }
    }
    team.barrier();
    const Grid grid(args.tokens, args.weight.rows, 1, team.size);
    Scratch scratch(NR * w_bytes_per_output * (int8_kc / block_size));
    for (int64_t item; (item = team.claim()) < grid.items() && !team.stopped();) {
        const int64_t row = item % grid.row_parts * grid.row_size;
        const int64_t column = item / grid.row_parts * grid.column_size;
        linear_int8_item(args, x, row, lesser(args.tokens, row + grid.row_size), column,
                         lesser(args.weight.rows, column + grid.column_size),
                         static_cast<uint8_t *>(scratch.data()), team);
    }
    team.barrier();  // thread 0 owns the buffer that all have read
}

}  // namespace
}  // namespace imageforge::kernels
