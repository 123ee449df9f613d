// The matrix product: a register tile of MR rows by NV vectors over packed panels, and the cache blocking
// around it.
#pragma once
#include "pack.h"

namespace imageforge::kernels {
namespace {

constexpr int NR = NV * L;         // columns of a full panel of B
constexpr int MC = 96;             // rows of A packed at a time: 144 KiB
constexpr int NC = 384 / NR * NR;  // columns of B packed at a time: 576 KiB

/// Where a product goes: C[row][column], plus a bias per row or per column (nullptr: none).
struct Output {
    float * c;
    int64_t stride;
    const float * row_bias;
    const float * column_bias;
};

/// C tile (rows x columns) = A panel · B panel, or += when `accumulate`. The A panel is read as a[r · a_row +
/// k · a_k].
template <int Rows, int Vectors, bool APacked>
inline void tile(int64_t kc, const float * a, int64_t a_row, const float * b, float * c, int64_t c_stride,
                 int columns, bool accumulate, const float * row_bias, const float * column_bias) {
    F acc[Rows][Vectors];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) acc[r][v] = zero();
    }
    for (int64_t k = 0; k < kc; k++) {
        F column[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) column[v] = load(b + v * L);
        b += Vectors * L;
#pragma GCC unroll 8
        for (int r = 0; r < Rows; r++) {
            const F x = set1(APacked ? a[r] : a[r * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; v++) acc[r][v] = fma(x, column[v], acc[r][v]);
        }
        a += APacked ? MR : 1;
    }
    const bool whole = columns == Vectors * L;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) {
        float * to = c + r * c_stride;
        const F row = row_bias ? set1(row_bias[r]) : zero();
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) {
            if (whole) {
                F x = add(acc[r][v], row);
                if (column_bias) x = add(x, load(column_bias + v * L));
                if (accumulate) x = add(x, load(to + v * L));
                store(to + v * L, x);
            } else {
                const int n = lesser(L, columns - v * L);
                if (n <= 0) continue;
                F x = add(acc[r][v], row);
                if (column_bias) x = add(x, load_n(column_bias + v * L, n));
                if (accumulate) x = add(x, load_n(to + v * L, n));
                store_n(to + v * L, n, x);
            }
        }
    }
}

using TileFunction = void (*)(int64_t kc, const float * a, int64_t a_row, const float * b, float * c,
                              int64_t c_stride, int columns, bool accumulate, const float * row_bias,
                              const float * column_bias);

template <int Rows, bool APacked>
inline TileFunction tile_of_width(int vectors) {
    static_assert(NV == 3, "one case per width");
    return vectors == 3   ? tile<Rows, 3, APacked>
           : vectors == 2 ? tile<Rows, 2, APacked>
                          : tile<Rows, 1, APacked>;
}

/// The tile for 1 to MR rows and 1 to NV vectors.
template <bool APacked>
inline TileFunction tile_of(int rows, int vectors) {
    if (rows == MR) return tile_of_width<MR, APacked>(vectors);
    switch (rows) {
        case 1:
            return tile_of_width<1, APacked>(vectors);
        case 2:
            return tile_of_width<2, APacked>(vectors);
        case 3:
            return tile_of_width<3, APacked>(vectors);
    }
    if constexpr (MR == 8) {
        switch (rows) {
            case 4:
                return tile_of_width<4, APacked>(vectors);
            case 5:
                return tile_of_width<5, APacked>(vectors);
            case 6:
                return tile_of_width<6, APacked>(vectors);
        }
    }
    return tile_of_width<MR - 1, APacked>(vectors);
}

inline int vectors_of(int64_t columns) { return static_cast<int>(lesser<int64_t>(NV, parts(columns, L))); }

/// Scratch of one thread in gemm().
struct GemmBuffers {
    float *a, *b, *unpacked;
    static size_t bytes() { return sizeof(float) * (MC * KC + (NC + NR) * KC + L * KC); }
    explicit GemmBuffers(Scratch & s) : a(s.floats()), b(a + MC * KC), unpacked(b + (NC + NR) * KC) {}
};

/// C rows [row0, row1), columns [column0, column1) (at most NC of them) of a product with inner size K.
/// put_a(row, rows, k0, kc, to) packs panels of A; put_b(column, columns, vectors, k0, kc, to) one panel of
/// B.
template <typename PutA, typename PutB>
inline void gemm(int64_t row0, int64_t row1, int64_t column0, int64_t column1, int64_t K, int64_t k_block,
                 const Output & out, const GemmBuffers & buffers, const Team & team, PutA put_a, PutB put_b) {
    for (int64_t k0 = 0; k0 < K; k0 += k_block) {
        const int64_t kc = lesser<int64_t>(k_block, K - k0);
        if (team.stopped()) return;
        for (int64_t j = column0; j < column1; j += NR) {
            put_b(j, lesser<int64_t>(NR, column1 - j), vectors_of(column1 - j), k0, kc,
                  buffers.b + (j - column0) * kc);
        }
        for (int64_t i0 = row0; i0 < row1; i0 += MC) {
            const int64_t i1 = lesser<int64_t>(row1, i0 + MC);
            put_a(i0, i1 - i0, k0, kc, buffers.a);
            for (int64_t j = column0; j < column1; j += NR) {
                const int columns = static_cast<int>(lesser<int64_t>(NR, column1 - j));
                const float * panel = buffers.b + (j - column0) * kc;
                const float * column_bias = k0 == 0 && out.column_bias ? out.column_bias + j : nullptr;
                for (int64_t i = i0; i < i1; i += MR) {
                    const int rows = static_cast<int>(lesser<int64_t>(MR, i1 - i));
                    const float * row_bias = k0 == 0 && out.row_bias ? out.row_bias + i : nullptr;
                    tile_of<true>(rows, vectors_of(columns))(kc, buffers.a + (i - i0) * kc, 0, panel,
                                                             out.c + i * out.stride + j, out.stride, columns,
                                                             k0 > 0, row_bias, column_bias);
                }
            }
        }
    }
}

double tile_peak(int64_t repeats) {
    constexpr int64_t kc = 64;  // both panels together take at most 14 KiB
    Scratch scratch(sizeof(float) * (kc * (MR + NR) + MR * NR));
    float *a = scratch.floats(), *b = a + kc * MR, *c = b + kc * NR;
    zero_floats(a, kc * (MR + NR) + MR * NR);
    for (int64_t i = 0; i < repeats; i++) tile<MR, NV, true>(kc, a, 0, b, c, NR, NR, true, nullptr, nullptr);
    return 2.0 * MR * NR * kc * static_cast<double>(repeats);
}

/// How a product is cut into items for the team: enough items to share out evenly, as few as possible
/// otherwise, because every item packs its own rows and columns.
struct Grid {
    int64_t row_size, column_size, row_parts, column_parts;

    Grid(int64_t rows, int64_t columns, int64_t batch, int team) {
        row_parts = parts(rows, 1024);
        column_parts = parts(columns, NC);
        const int64_t wanted = team == 1 ? 1 : 4 * team;
        while (row_parts * column_parts * batch < wanted) {
            const int64_t row_share = rows / row_parts, column_share = columns / column_parts;
            if (row_share >= column_share && row_share >= 256) {
                row_parts++;
            } else if (column_share >= 128) {
                column_parts++;
            } else if (row_share >= 128 && row_parts * column_parts * batch < team) {
                row_parts++;
            } else if (column_share >= 2 * L && row_parts * column_parts * batch < team) {
                column_parts++;
            } else {
                break;
            }
        }
        row_size = round_up(parts(rows, row_parts), pack_group);
        column_size = round_up(parts(columns, column_parts), columns >= 4 * NR ? NR : L);
        row_parts = parts(rows, row_size);
        column_parts = parts(columns, column_size);
    }
    int64_t items() const { return row_parts * column_parts; }
};

}  // namespace
}  // namespace imageforge::kernels
