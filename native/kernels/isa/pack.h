// Packing: rows of a matrix (F32 activations or weights in any storage) turned into the panels that the
// register tile reads in order. A panel holds, for one k after the other, the values of its rows side by
// side.
#pragma once
#include "../table.h"
#include "math.h"

namespace imageforge::kernels {
namespace {

constexpr int KC = 384;  // most columns packed at a time: a panel of A takes a quarter of L1
constexpr int pack_group = L > MR ? L : MR;  // rows of A that are packed together
static_assert(L <= MR || L == 2 * MR, "a vector holds two panels' rows at most");

inline WeightView matrix_f32(const float * data, int64_t rows, int64_t columns, size_t row_bytes) {
    return {reinterpret_cast<const char *>(data), Storage::F32, rows, columns, row_bytes, 1, 4, nullptr};
}

/// Columns packed at a time of K in all: even shares of whole quantisation blocks.
inline int64_t inner_block(int64_t K, int block) {
    return block > 32 ? KC / block * block : round_up(parts(K, parts(K, KC)), 32);
}

struct Block {
    F scale;
    const int8_t * values;  // 32
};
/// A block of Q8_0 or of Q4_0, whose values are unpacked into `nibbles`.
inline Block open_block(Storage storage, const char * block, int8_t * nibbles) {
    uint16_t half;
    __builtin_memcpy(&half, block, 2);
    const F scale = set1(half_to_float(half));
    if (storage != Storage::Q4_0) return {scale, (const int8_t *)block + 2};
    unpack_nibbles((const uint8_t *)block + 2, nibbles);
    return {scale, nibbles};
}

/// Values [k0, k0 + n) of a quantised row; both on a block's border. The two types that are used most are
/// unpacked here, the others by ggml.
inline void unpack_quantised(const WeightView & m, const char * row, int64_t k0, int64_t n, float * to) {
    const char * from = row + k0 / m.block * m.block_bytes;
    if (m.storage == Storage::Quantised) return m.to_float(from, to, n);
    for (int64_t k = 0; k < n; k += 32, from += m.block_bytes, to += 32) {
        alignas(64) int8_t nibbles[32];
        const auto [scale, values] = open_block(m.storage, from, nibbles);
        for (int i = 0; i < 32; i += L) store(to + i, mul(scale, load_i8(values + i)));
    }
}

/// Loads `count` rows (at most L) from `row`, columns [k0, k0 + kc), and calls put(k, vector over the rows)
/// for every k in order; missing rows are 0. `unpacked` holds L · KC floats, used for quantised storage (k0
/// on a block border).
template <typename Load, typename LoadN, typename Put>
inline void transpose_with(int count, int64_t kc, Load load_at, LoadN load_n_at, Put put) {
    F r[L];
    int64_t k = 0;
    for (; k + L <= kc; k += L) {
        if (count == L) {
            for (int i = 0; i < L; i++) r[i] = load_at(i, k);
        } else {
            for (int i = 0; i < L; i++) r[i] = i < count ? load_at(i, k) : zero();
        }
        transpose(r);
        for (int i = 0; i < L; i++) put(k + i, r[i]);
    }
    if (k < kc) {
        const int rest = static_cast<int>(kc - k);
        for (int i = 0; i < L; i++) r[i] = i < count ? load_n_at(i, k, rest) : zero();
        transpose(r);
        for (int i = 0; i < rest; i++) put(k + i, r[i]);
    }
}

template <typename Put>
inline void transpose_rows(const WeightView & m, int64_t row, int count, int64_t k0, int64_t kc,
                           float * unpacked, Put put, int64_t unpacked_stride = KC) {
    const char * base = m.data + row * m.row_bytes;
    const size_t stride = m.row_bytes;
    if (m.storage == Storage::F16) {
        const auto at = [=](int i, int64_t k) { return (const uint16_t *)(base + i * stride) + k0 + k; };
        transpose_with(
            count, kc, [&](int i, int64_t k) { return load_f16(at(i, k)); },
            [&](int i, int64_t k, int n) { return load_f16_n(at(i, k), n); }, put);
        return;
    }
    if (m.storage == Storage::BF16) {
        const auto at = [=](int i, int64_t k) { return (const uint16_t *)(base + i * stride) + k0 + k; };
        transpose_with(
            count, kc, [&](int i, int64_t k) { return load_bf16(at(i, k)); },
            [&](int i, int64_t k, int n) { return load_bf16_n(at(i, k), n); }, put);
        return;
    }
    const float * rows = (const float *)base + k0;
    size_t row_floats = stride / 4;
    if (m.storage != Storage::F32) {
        for (int i = 0; i < count; i++) {
            unpack_quantised(m, base + i * stride, k0, kc, unpacked + i * unpacked_stride);
        }
        rows = unpacked;
        row_floats = unpacked_stride;
    }
    transpose_with(
        count, kc, [=](int i, int64_t k) { return load(rows + i * row_floats + k); },
        [=](int i, int64_t k, int n) { return load_n(rows + i * row_floats + k, n); }, put);
}

/// A vector over neighbouring rows into their panels of MR, `next` floats from one panel to the next.
inline void store_rows(float * to, int64_t next, F v) {
    if constexpr (L > MR) {
        store_halves(to, to + next, v);
    } else {
        store(to, v);
    }
}

/// Rows [row, row + count) as panels of MR rows each: panel p at to + p · MR · kc. Room for whole groups of
/// pack_group rows is needed.
inline void pack_a(const WeightView & m, int64_t row, int64_t count, int64_t k0, int64_t kc, float * to,
                   float * unpacked) {
    for (int64_t g = 0; g < count; g += L) {
        const int here = static_cast<int>(lesser<int64_t>(L, count - g));
        float * panel = to + g / MR * MR * kc + g % MR;
        transpose_rows(m, row + g, here, k0, kc, unpacked,
                       [=](int64_t k, F v) { store_rows(panel + k * MR, MR * kc, v); });
    }
    if constexpr (L < MR) {  // the rest of a panel that has begun
        for (int64_t g = round_up(count, L); g % MR != 0; g += L) {
            float * panel = to + g / MR * MR * kc + g % MR;
            for (int64_t k = 0; k < kc; k++) store(panel + k * MR, zero());
        }
    }
}

/// Rows [row, row + count) as one panel of `vectors` vectors.
inline void pack_b(const WeightView & m, int64_t row, int64_t count, int vectors, int64_t k0, int64_t kc,
                   float * to, float * unpacked) {
    const int width = vectors * L;
    for (int v = 0; v < vectors; v++) {
        const int here = static_cast<int>(lesser<int64_t>(L, greater<int64_t>(0, count - v * L)));
        float * column = to + v * L;
        transpose_rows(m, row + v * L, here, k0, kc, unpacked,
                       [=](int64_t k, F x) { store(column + k * width, x); });
    }
}

}  // namespace
}  // namespace imageforge::kernels
