// Dot products of bytes: AVX-512 VNNI.
#pragma once
#include "simd_avx512.h"

namespace {

using I = __m512i;             // L sums of 32 bits
constexpr int x_offset = 128;  // activations are unsigned bytes here: value + 128

inline I load_i(const void * p) { return _mm512_loadu_si512(p); }
inline I zero_i() { return _mm512_setzero_si512(); }
inline I splat4(const void * p) {
    int32_t v;
    __builtin_memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}
inline I as_bytes(F v) { return _mm512_castps_si512(v); }
inline I dot4(I sum, I x, I w) { return _mm512_dpbusd_epi32(sum, x, w); }
/// -x_offset · v, what the offset adds to a dot product with weights of sum v.
inline I offset_of(I v) { return _mm512_sub_epi32(zero_i(), _mm512_slli_epi32(v, 7)); }
inline void store_i(void * p, I v) { _mm512_storeu_si512(p, v); }
inline F to_float(I v) { return _mm512_cvtepi32_ps(v); }
/// L rounded values in [-127, 127] as activation bytes.
inline void store_bytes(uint8_t * p, F v) {
    const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(x_offset));
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(q));
}
/// Four vectors of rounded values in [-127, 127] as the signed bytes of L quads.
inline I signed_quads(F a, F b, F c, F d) {
    const I byte = _mm512_set1_epi32(0xff);
    const I ab = _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(a), byte),
                                 _mm512_slli_epi32(_mm512_and_si512(_mm512_cvtps_epi32(b), byte), 8));
    const I cd = _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(c), byte),
                                 _mm512_slli_epi32(_mm512_cvtps_epi32(d), 8));
    return _mm512_or_si512(ab, _mm512_slli_epi32(cd, 16));
}
inline F as_cells(I v) { return _mm512_castsi512_ps(v); }
/// L rounded values in [-127, 127] as signed bytes.
inline void store_signed(int8_t * p, F v) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

}  // namespace
