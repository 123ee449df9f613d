// Vectors of 8 floats: AVX2, FMA, F16C.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

using F = __m256;
constexpr int L = 8;   // floats in a vector
constexpr int MR = 4;  // rows of a register tile
constexpr int NV =
    3;  // vectors across a register tile: 12 accumulators, 3 columns and a broadcast of 16 registers

inline F zero() { return _mm256_setzero_ps(); }
inline F set1(float v) { return _mm256_set1_ps(v); }
inline F load(const float * p) { return _mm256_loadu_ps(p); }
inline void store(float * p, F v) { _mm256_storeu_ps(p, v); }
inline __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline F load_n(const float * p, int n) { return _mm256_maskload_ps(p, first(n)); }
inline void store_n(float * p, int n, F v) { _mm256_maskstore_ps(p, first(n), v); }
inline __m128i load_u16_n(const uint16_t * p, int n) {
    alignas(16) uint16_t padded[8] = {};
    std::memcpy(padded, p, static_cast<size_t>(n) * 2);
    return _mm_load_si128((const __m128i *)padded);
}
inline F load_f16(const uint16_t * p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
inline F load_f16_n(const uint16_t * p, int n) { return _mm256_cvtph_ps(load_u16_n(p, n)); }
inline F widen_bf16(__m128i v) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}
inline F load_bf16(const uint16_t * p) { return widen_bf16(_mm_loadu_si128((const __m128i *)p)); }
inline F load_bf16_n(const uint16_t * p, int n) { return widen_bf16(load_u16_n(p, n)); }
inline F load_i8(const int8_t * p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
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

inline F add(F a, F b) { return _mm256_add_ps(a, b); }
inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F div(F a, F b) { return _mm256_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F max(F a, F b) { return _mm256_max_ps(a, b); }
inline F min(F a, F b) { return _mm256_min_ps(a, b); }
inline F abs(F a) { return _mm256_andnot_ps(set1(-0.0f), a); }
inline F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline F where_negative(F x, F negative, F otherwise) {
    return _mm256_blendv_ps(otherwise, negative, _mm256_cmp_ps(x, zero(), _CMP_LT_OQ));
}
/// v · 2^n for integral n, 0 below the smallest normal factor.
inline F scale2(F v, F n) {
    const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(max(n, set1(-127.0f))), _mm256_set1_epi32(127));
    return mul(v, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}
inline float sum(F v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float highest(F v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/// The lower and upper half of a vector, MR rows each.
inline void store_halves(float * low, float * high, F v) {
    _mm_storeu_ps(low, _mm256_castps256_ps128(v));
    _mm_storeu_ps(high, _mm256_extractf128_ps(v, 1));
}

/// Four 4 x 4 transposes side by side: within each half, r[i] lane j becomes r[j] lane i.
inline void transpose_halves(F * r) {
    const F t0 = _mm256_unpacklo_ps(r[0], r[1]), t1 = _mm256_unpackhi_ps(r[0], r[1]);
    const F t2 = _mm256_unpacklo_ps(r[2], r[3]), t3 = _mm256_unpackhi_ps(r[2], r[3]);
    r[0] = _mm256_shuffle_ps(t0, t2, 0x44);
    r[1] = _mm256_shuffle_ps(t0, t2, 0xee);
    r[2] = _mm256_shuffle_ps(t1, t3, 0x44);
    r[3] = _mm256_shuffle_ps(t1, t3, 0xee);
}

inline void transpose(F * r) {
    transpose_halves(r);
    transpose_halves(r + 4);
    for (int i = 0; i < 4; i++) {
        const F low = r[i], high = r[i + 4];
        r[i] = _mm256_permute2f128_ps(low, high, 0x20);
        r[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
}

/// r[j] lane t becomes element 4t + j of the 4·L floats at p.
inline void load_strided4(const float * p, F * r) {
    const F a = load(p), b = load(p + 8), c = load(p + 16), d = load(p + 24);
    r[0] = _mm256_permute2f128_ps(a, c, 0x20);
    r[1] = _mm256_permute2f128_ps(a, c, 0x31);
    r[2] = _mm256_permute2f128_ps(b, d, 0x20);
    r[3] = _mm256_permute2f128_ps(b, d, 0x31);
    transpose_halves(r);
}

/// The inverse of load_strided4.
inline void store_strided4(float * p, const F * r) {
    F t[4] = {r[0], r[1], r[2], r[3]};
    transpose_halves(t);
    store(p, _mm256_permute2f128_ps(t[0], t[1], 0x20));
    store(p + 8, _mm256_permute2f128_ps(t[2], t[3], 0x20));
    store(p + 16, _mm256_permute2f128_ps(t[0], t[1], 0x31));
    store(p + 24, _mm256_permute2f128_ps(t[2], t[3], 0x31));
}

}  // namespace
