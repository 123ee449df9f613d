// Attention's scores on 8-bit dot products: queries and keys in blocks of 32 values with a scale each, as
// SageAttention does it (Zhang et al. 2024). The mean over all keys is subtracted first: softmax(q · (k - m))
// = softmax(q · k), since q · m is the same for all keys, and what is left needs fewer bits.
#pragma once
#include "int8.h"

namespace imageforge::kernels {
namespace {

constexpr int64_t most_int8_head = 256;
static_assert(MR % int8_rows == 0, "rows of scores are whole panels of queries");

/// Worth it where a head fills its blocks well. (Panels of bytes then fit into the buffers for panels of
/// floats.)
inline bool scores_in_bytes(const AttentionArgs & args) {
    return args.eight_bit && args.d <= most_int8_head && 4 * round_up(args.d, block_size) <= 5 * args.d;
}

inline int64_t head_blocks(int64_t d) { return parts(d, block_size); }

/// Values of one head, filled up with zeros to whole blocks.
struct HeadRow {
    alignas(64) float values[most_int8_head];

    template <typename Change>
    HeadRow(const char * from, int64_t d, Change change) {
        const float * x = (const float *)from;
        int64_t i = 0;
        for (; i + L <= d; i += L) store(values + i, change(load(x + i), i));
        if (i < d) store(values + i, change(load_n(x + i, static_cast<int>(d - i)), i));
        zero_floats(values + d, round_up(d, block_size) - d);
    }
};

/// `count` queries, times `scale`, as panels of int8_rows.
inline void quantise_queries(const char * rows, size_t stride, int64_t count, int64_t d, float scale,
                             uint8_t * to) {
    const F factor = set1(scale);
    for (int64_t i = 0; i < round_up(count, int8_rows); i++) {
        uint8_t * panel = to + i / int8_rows * head_blocks(d) * x_block_bytes;
        const HeadRow row(rows + lesser(i, count - 1) * stride, d,
                          [=](F x, int64_t) { return mul(x, factor); });
        for (int64_t b = 0; b < head_blocks(d); b++)
            quantise_block(row.values + b * block_size, panel + b * x_block_bytes,
                           static_cast<int>(i % int8_rows));
    }
}

/// The mean of all keys, with room for a whole vector at its end.
inline void average_keys(const char * rows, size_t stride, int64_t count, int64_t d, float * mean) {
    for (int64_t j = 0; j < d; j += L) {
        const int n = static_cast<int>(lesser<int64_t>(L, d - j));
        F total = zero();
        for (int64_t i = 0; i < count; i++)
            total = add(total, load_n((const float *)(rows + i * stride) + j, n));
        store(mean + j, mul(total, set1(1.0f / static_cast<float>(count))));
    }
}

/// `count` keys without their mean as panels of NR.
inline void quantise_keys(const char * rows, size_t stride, int64_t count, int64_t d, const float * mean,
                          uint8_t * to) {
    const int64_t blocks = head_blocks(d);
    for (int64_t j = 0; j < count; j += NR) {
        pack_bytes(lesser<int64_t>(NR, count - j), vectors_of(count - j), blocks * block_size,
                   to + j * blocks * w_bytes_per_output, [&](int64_t key, int8_t * q, float * scales) {
                       const HeadRow row(rows + (j + key) * stride, d,
                                         [=](F x, int64_t i) { return sub(x, load(mean + i)); });
                       quantise_row(row.values, blocks, q, scales);
                   });
    }
}

/// Scores of `rows` queries, the first of a panel, with `keys` keys.
inline void score_int8(const uint8_t * queries, const uint8_t * keys_at, int rows, int64_t keys, int64_t d,
                       float * scores, int64_t stride) {
    const int64_t blocks = head_blocks(d);
    for (int64_t j = 0; j < keys; j += NR) {
        const int vectors = vectors_of(keys - j);
        for (int r = 0; r < rows; r += int8_rows)
            tile_int8_of(vectors)(blocks, queries + r / int8_rows * blocks * x_block_bytes,
                                  keys_at + j * blocks * w_bytes_per_output, scores + r * stride + j, stride,
                                  lesser(int8_rows, rows - r), vectors * L, false, nullptr, nullptr);
    }
}

}  // namespace
}  // namespace imageforge::kernels
