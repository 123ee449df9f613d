// Dot products of bytes: AArch64 dot product instructions.
#pragma once
#include "simd_neon.h"

namespace {

using I = int32x4_t;         // L sums of 32 bits
constexpr int x_offset = 0;  // both operands are signed

inline I load_i(const void * p) { return vld1q_s32((const int32_t *)p); }
inline I zero_i() { return vdupq_n_s32(0); }
inline I splat4(const void * p) {
    int32_t v;
    __builtin_memcpy(&v, p, 4);
    return vdupq_n_s32(v);
}
inline I as_bytes(F v) { return vreinterpretq_s32_f32(v); }
inline I dot4(I sum, I x, I w) { return vdotq_s32(sum, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w)); }
/// -x_offset · v, what the offset adds to a dot product with weights of sum v.
inline I offset_of(I v) { return zero_i(); }
inline void store_i(void * p, I v) { vst1q_s32((int32_t *)p, v); }
inline F to_float(I v) { return vcvtq_f32_s32(v); }
inline void store_signed(int8_t * p, F v) {
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(v));
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    const int32_t four = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
    __builtin_memcpy(p, &four, 4);
}
/// L rounded values in [-127, 127] as activation bytes.
inline void store_bytes(uint8_t * p, F v) { store_signed((int8_t *)p, v); }

/// Four vectors of rounded values in [-127, 127] as the signed bytes of L quads.
inline I signed_quads(F a, F b, F c, F d) {
    const I byte = vdupq_n_s32(0xff);
    const I ab =
        vorrq_s32(vandq_s32(vcvtnq_s32_f32(a), byte), vshlq_n_s32(vandq_s32(vcvtnq_s32_f32(b), byte), 8));
    const I cd = vorrq_s32(vandq_s32(vcvtnq_s32_f32(c), byte), vshlq_n_s32(vcvtnq_s32_f32(d), 8));
    return vorrq_s32(ab, vshlq_n_s32(cd, 16));
}
inline F as_cells(I v) { return vreinterpretq_f32_s32(v); }

}  // namespace
