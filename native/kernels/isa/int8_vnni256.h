// Dot products of bytes: AVX-VNNI, 256 bits.
#pragma once
#include "simd_avx2.h"

namespace {

using I = __m256i;             // L sums of 32 bits
constexpr int x_offset = 128;  // activations are unsigned bytes here: value + 128

inline I load_i(const void * p) { return _mm256_loadu_si256((const __m256i *)p); }
inline I zero_i() { return _mm256_setzero_si256(); }
inline I splat4(const void * p) {
    int32_t v;
    __builtin_memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}
inline I as_bytes(F v) { return _mm256_castps_si256(v); }
inline I dot4(I sum, I x, I w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }
/// -x_offset · v, what the offset adds to a dot product with weights of sum v.
inline I offset_of(I v) { return _mm256_sub_epi32(zero_i(), _mm256_slli_epi32(v, 7)); }
inline void store_i(void * p, I v) { _mm256_storeu_si256((__m256i *)p, v); }
inline F to_float(I v) { return _mm256_cvtepi32_ps(v); }
inline void store_signed(int8_t * p, F v) {
    const __m256i q = _mm256_cvtps_epi32(v);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(words, words));
}
/// L rounded values in [-127, 127] as activation bytes.
inline void store_bytes(uint8_t * p, F v) {
    store_signed((int8_t *)p, v);
    for (int i = 0; i < L; i++) p[i] ^= 0x80;
}

/// Four vectors of rounded values in [-127, 127] as the signed bytes of L quads.
inline I signed_quads(F a, F b, F c, F d) {
    const I byte = _mm256_set1_epi32(0xff);
    const I ab = _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(a), byte),
                                 _mm256_slli_epi32(_mm256_and_si256(_mm256_cvtps_epi32(b), byte), 8));
    const I cd = _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(c), byte),
                                 _mm256_slli_epi32(_mm256_cvtps_epi32(d), 8));
    return _mm256_or_si256(ab, _mm256_slli_epi32(cd, 16));
}
inline F as_cells(I v) { return _mm256_castsi256_ps(v); }

}  // namespace
