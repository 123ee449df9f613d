// Attention with online softmax (Milakov and Gimelshein; blocked as in FlashAttention): per item one head and
// a run of queries; keys and values pass by in blocks that stay in L2, MR queries' scores at a time stay in
// L1.
#pragma once
#include "gemm.h"
#ifdef IMAGEFORGE_INT8
#include "scores_int8.h"
#endif

namespace imageforge::kernels {
namespace {

constexpr int max_keys = 240 / NR * NR;      // keys in a block
constexpr int score_stride = max_keys + 16;  // of the MR x keys scores

struct AttentionItem {
    const AttentionArgs & args;
    int64_t batch, head, query0, queries;
    float *q = nullptr, *k = nullptr, *v = nullptr, *o = nullptr;  // scratch, see place()
    float *maxima = nullptr, *sums = nullptr, *scores = nullptr, *mean = nullptr;

    int64_t d_padded() const { return round_up(args.d, L); }

    static int64_t keys_per_block(int64_t d) {
        return greater<int64_t>(NR, lesser<int64_t>(max_keys, 61440 / d / NR * NR));
    }
    static size_t bytes(int64_t d, int64_t queries) {
        const int64_t wide = round_up(d, L), rows = round_up(queries, pack_group), keys = keys_per_block(d);
        return sizeof(float) *
               (rows * d + d * keys + wide * keys + rows * wide + rows + rows * L + MR * score_stride + wide);
    }
    void place(float * at) {
        const int64_t wide = d_padded(), rows = round_up(queries, pack_group), keys = keys_per_block(args.d);
        sums = at;
        k = sums + rows * L;
        v = k + args.d * keys;
        o = v + wide * keys;
        scores = o + rows * wide;
        maxima = scores + MR * score_stride;
        mean = maxima + rows;
        q = mean + wide;
    }
};

/// Values as panels of B for the product with the scores: [key][columns of the panel].
inline void pack_values(const AttentionItem & item, int64_t key0, int64_t keys) {
    const AttentionArgs & args = item.args;
    const char * rows = args.v + item.batch * args.v_batch + item.head * args.v_head + key0 * args.v_row;
    for (int64_t j = 0; j < args.d; j += NR) {
        const int width = vectors_of(args.d - j) * L;
        const int64_t columns = lesser<int64_t>(NR, args.d - j);
        float * to = item.v + j * keys;
        for (int64_t i = 0; i < keys; i++, to += width) {
            copy_floats(to, (const float *)(rows + i * args.v_row) + j, columns);
            if (columns < width) zero_floats(to + columns, width - columns);
        }
    }
}

/// Adds the mask, hides keys after the query where causal, and pads the row with -inf to whole vectors.
inline void mask_scores(const AttentionItem & item, int64_t query, int64_t key0, int64_t keys, float * s) {
    const AttentionArgs & args = item.args;
    if (args.mask) {
        const float * mask = args.mask + query * args.mask_row + key0;
        for (int64_t i = 0; i < keys; i++) s[i] += mask[i] * log2_e;
    }
    if (args.causal) {
        for (int64_t i = greater<int64_t>(0, query - key0 + 1); i < keys; i++) s[i] = -__builtin_inff();
    }
    for (int64_t i = keys; i % L != 0; i++) s[i] = -__builtin_inff();
}

/// Turns MR rows of scores into weights relative to the running maximum; rescales what was summed before.
inline void soften(const AttentionItem & item, int64_t row, int rows, int64_t keys) {
    const int64_t wide = item.d_padded();
    for (int r = 0; r < rows; r++) {
        float * s = item.scores + r * score_stride;
        F top = load(s);
        for (int64_t i = L; i < keys; i += L) top = max(top, load(s + i));
        const float before = item.maxima[row + r], now = greater(before, highest(top));
        F total = load(item.sums + (row + r) * L);
        if (now > before) {
            const F factor = exp2(set1(before - now));
            total = mul(total, factor);
            float * o = item.o + (row + r) * wide;
            for (int64_t i = 0; i < wide; i += L) store(o + i, mul(load(o + i), factor));
            item.maxima[row + r] = now;
        }
        const F peak = set1(now);
        for (int64_t i = 0; i < keys; i += L) {
            const F e = exp2(sub(load(s + i), peak));
            total = add(total, e);
            store(s + i, e);
        }
        store(item.sums + (row + r) * L, total);
    }
}

inline const char * keys_of(const AttentionItem & item) {
    return item.args.k + item.batch * item.args.k_batch + item.head * item.args.k_head;
}

inline void pack_queries(const AttentionItem & item) {
    const AttentionArgs & args = item.args;
    const char * rows = args.q + item.batch * args.q_batch + item.head * args.q_head;
    const float scale = args.scale * log2_e;  // scores are exponents of 2 from here on
#ifdef IMAGEFORGE_INT8
    if (scores_in_bytes(args)) {
        average_keys(keys_of(item), args.k_row, args.k_length, args.d, item.mean);
        return quantise_queries(rows + item.query0 * args.q_row, args.q_row, item.queries, args.d, scale,
                                (uint8_t *)item.q);
    }
#endif
    const WeightView q = matrix_f32((const float *)rows, args.q_length, args.d, args.q_row);
    pack_a(q, item.query0, item.queries, 0, args.d, item.q, nullptr);
    const int64_t packed = round_up(item.queries, MR) * args.d;
    int64_t at = 0;
    for (; at + L <= packed; at += L) store(item.q + at, mul(load(item.q + at), set1(scale)));
    for (; at < packed; at++) item.q[at] *= scale;
}

inline void pack_keys(const AttentionItem & item, int64_t key0, int64_t keys) {
    const AttentionArgs & args = item.args;
#ifdef IMAGEFORGE_INT8
    if (scores_in_bytes(args))
        return quantise_keys(keys_of(item) + key0 * args.k_row, args.k_row, keys, args.d, item.mean,
                             (uint8_t *)item.k);
#endif
    const WeightView k = matrix_f32((const float *)keys_of(item), args.k_length, args.d, args.k_row);
    for (int64_t j = 0; j < keys; j += NR) {
        pack_b(k, key0 + j, lesser<int64_t>(NR, keys - j), vectors_of(keys - j), 0, args.d,
               item.k + j * args.d, nullptr);
    }
}

/// Scores of the packed queries from `row` on with the packed keys.
inline void score(const AttentionItem & item, int64_t row, int rows, int64_t keys) {
    const int64_t d = item.args.d;
#ifdef IMAGEFORGE_INT8
    if (scores_in_bytes(item.args))
        return score_int8((const uint8_t *)item.q + row / int8_rows * head_blocks(d) * x_block_bytes,
                          (const uint8_t *)item.k, rows, keys, d, item.scores, score_stride);
#endif
    for (int64_t j = 0; j < keys; j += NR) {
        const int vectors = vectors_of(keys - j);
        tile_of<true>(rows, vectors)(d, item.q + row * d, 0, item.k + j * d, item.scores + j, score_stride,
                                     vectors * L, false, nullptr, nullptr);
    }
}

inline void attend_block(const AttentionItem & item, int64_t key0, int64_t keys) {
    const AttentionArgs & args = item.args;
    pack_keys(item, key0, keys);
    pack_values(item, key0, keys);
    const int64_t wide = item.d_padded();
    const bool masked = args.mask || args.causal || keys % L != 0;
    for (int64_t row = 0; row < item.queries; row += MR) {
        const int rows = static_cast<int>(lesser<int64_t>(MR, item.queries - row));
        const int64_t last = item.query0 + row + rows - 1;
        if (args.causal && key0 > last) continue;
        score(item, row, rows, keys);
        for (int r = 0; masked && r < rows; r++) {
            mask_scores(item, item.query0 + row + r, key0, keys, item.scores + r * score_stride);
        }
        soften(item, row, rows, keys);
        for (int64_t j = 0; j < args.d; j += NR) {
            const int vectors = vectors_of(args.d - j);
            tile_of<false>(rows, vectors)(keys, item.scores, score_stride, item.v + j * keys,
                                          item.o + row * wide + j, wide, vectors * L, true, nullptr, nullptr);
        }
    }
}

inline void attend(const AttentionItem & item, const Team & team) {
    const AttentionArgs & args = item.args;
    const int64_t wide = item.d_padded();
    pack_queries(item);
    zero_floats(item.o, item.queries * wide);
    zero_floats(item.sums, item.queries * L);
    for (int64_t i = 0; i < item.queries; i++) item.maxima[i] = -1e30f;

    const int64_t block = AttentionItem::keys_per_block(args.d);
    for (int64_t key0 = 0; key0 < args.k_length && !team.stopped(); key0 += block) {
        if (args.causal && key0 > item.query0 + item.queries - 1) break;
        attend_block(item, key0, lesser(block, args.k_length - key0));
    }
    for (int64_t i = 0; i < item.queries; i++) {
        float * y =
            args.y + ((item.batch * args.q_length + item.query0 + i) * args.heads + item.head) * args.d;
        const F factor = set1(1.0f / sum(load(item.sums + i * L)));
        const float * o = item.o + i * wide;
        int64_t j = 0;
        for (; j + L <= args.d; j += L) store(y + j, mul(load(o + j), factor));
        if (j < args.d) store_n(y + j, static_cast<int>(args.d - j), mul(load(o + j), factor));
    }
}

void attention(const AttentionArgs & args, Team & team) {
    const int64_t sequences = args.heads * args.batch;
    int64_t size =
        args.d > 256 ? 128 : 512;  // queries per item: keys and values are packed once for all of them
    while (size > 4 * MR && sequences * parts(args.q_length, size) < 4 * team.size) size /= 2;
    size = lesser(size, round_up(args.q_length, MR));
    const int64_t runs = parts(args.q_length, size);
    Scratch scratch(AttentionItem::bytes(args.d, size));
    for (int64_t claimed; (claimed = team.claim()) < sequences * runs && !team.stopped();) {
        const int64_t run = claimed % runs, sequence = claimed / runs;
        AttentionItem item{args, sequence / args.heads, sequence % args.heads, run * size,
                           lesser(size, args.q_length - run * size)};
        item.place(scratch.floats());
        attend(item, team);
    }
}

}  // namespace
}  // namespace imageforge::kernels
