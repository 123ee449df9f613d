// Vectors of 16 floats: AVX-512 F, BW, DQ, VL.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace {

using F = __m512;
constexpr int L = 16;  // floats in a vector
constexpr int MR = 8;  // rows of a register tile
constexpr int NV =
    3;  // vectors across a register tile: 24 accumulators, 3 columns and a broadcast of 32 registers

inline F zero() { return _mm512_setzero_ps(); }
inline F set1(float v) { return _mm512_set1_ps(v); }
inline F load(const float * p) { return _mm512_loadu_ps(p); }
inline void store(float * p, F v) { _mm512_storeu_ps(p, v); }
inline __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
inline F load_n(const float * p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store_n(float * p, int n, F v) { _mm512_mask_storeu_ps(p, first(n), v); }
inline F load_f16(const uint16_t * p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
inline F load_f16_n(const uint16_t * p, int n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
}
inline F widen_bf16(__m256i v) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}
inline F load_bf16(const uint16_t * p) { return widen_bf16(_mm256_loadu_si256((const __m256i *)p)); }
inline F load_bf16_n(const uint16_t * p, int n) { return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p)); }
inline F load_i8(const int8_t * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
inline float half_to_float(uint16_t h) { return _cvtsh_ss(h); }
/// The 32 values of a Q4_0 block: low nibbles first, then high ones. Whole vectors are stored, since a load
/// after single-byte stores would stall.
inline void unpack_nibbles(const uint8_t * nibbles, int8_t * to) {
    const __m128i both = _mm_loadu_si128((const __m128i *)nibbles), mask = _mm_set1_epi8(15);
    const __m128i low = _mm_and_si128(both, mask), high = _mm_and_si128(_mm_srli_epi16(both, 4), mask);
    _mm_storeu_si128((__m128i *)to, _mm_sub_epi8(low, _mm_set1_epi8(8)));
    _mm_storeu_si128((__m128i *)to + 1, _mm_sub_epi8(high, _mm_set1_epi8(8)));
}

inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F div(F a, F b) { return _mm512_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F max(F a, F b) { return _mm512_max_ps(a, b); }
inline F min(F a, F b) { return _mm512_min_ps(a, b); }
inline F abs(F a) { return _mm512_abs_ps(a); }
inline F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline F where_negative(F x, F negative, F otherwise) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, zero(), _CMP_LT_OQ), otherwise, negative);
}
/// v · 2^n for integral n.
inline F scale2(F v, F n) { return _mm512_scalef_ps(v, n); }
inline float sum(F v) { return _mm512_reduce_add_ps(v); }
inline float highest(F v) { return _mm512_reduce_max_ps(v); }

/// The lower and upper half of a vector, MR rows each.
inline void store_halves(float * low, float * high, F v) {
    _mm256_storeu_ps(low, _mm512_castps512_ps256(v));
    _mm256_storeu_ps(high, _mm512_extractf32x8_ps(v, 1));
}

inline void transpose(F * r) {
    F t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/// r[j] lane t becomes element 4t + j of the 4·L floats at p.
inline void load_strided4(const float * p, F * r) {
    const __m512i even = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    const __m512i odd = _mm512_setr_epi32(2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
    const F a = load(p), b = load(p + 16), c = load(p + 32), d = load(p + 48);
    const F ab01 = _mm512_permutex2var_ps(a, even, b), ab23 = _mm512_permutex2var_ps(a, odd, b);
    const F cd01 = _mm512_permutex2var_ps(c, even, d), cd23 = _mm512_permutex2var_ps(c, odd, d);
    r[0] = _mm512_shuffle_f32x4(ab01, cd01, 0x44);
    r[1] = _mm512_shuffle_f32x4(ab01, cd01, 0xee);
    r[2] = _mm512_shuffle_f32x4(ab23, cd23, 0x44);
    r[3] = _mm512_shuffle_f32x4(ab23, cd23, 0xee);
}

/// The inverse of load_strided4.
inline void store_strided4(float * p, const F * r) {
    const __m512i low = _mm512_setr_epi32(0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
    const __m512i high = _mm512_setr_epi32(4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31);
    const F ab01 = _mm512_shuffle_f32x4(r[0], r[1], 0x44), cd01 = _mm512_shuffle_f32x4(r[0], r[1], 0xee);
    const F ab23 = _mm512_shuffle_f32x4(r[2], r[3], 0x44), cd23 = _mm512_shuffle_f32x4(r[2], r[3], 0xee);
    store(p, _mm512_permutex2var_ps(ab01, low, ab23));
    store(p + 16, _mm512_permutex2var_ps(ab01, high, ab23));
    store(p + 32, _mm512_permutex2var_ps(cd01, low, cd23));
    store(p + 48, _mm512_permutex2var_ps(cd01, high, cd23));
}

}  // namespace
