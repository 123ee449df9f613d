// Vectors of 4 floats: AArch64 NEON.
#pragma once
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace {

using F = float32x4_t;
constexpr int L = 4;   // floats in a vector
constexpr int MR = 8;  // rows of a register tile
constexpr int NV =
    3;  // vectors across a register tile: 24 accumulators, 3 columns and 2 broadcasts of 32 registers

inline F zero() { return vdupq_n_f32(0.0f); }
inline F set1(float v) { return vdupq_n_f32(v); }
inline F load(const float * p) { return vld1q_f32(p); }
inline void store(float * p, F v) { vst1q_f32(p, v); }
inline F load_n(const float * p, int n) {
    float padded[4] = {};
    std::memcpy(padded, p, static_cast<size_t>(n) * 4);
    return vld1q_f32(padded);
}
inline void store_n(float * p, int n, F v) {
    float padded[4];
    vst1q_f32(padded, v);
    std::memcpy(p, padded, static_cast<size_t>(n) * 4);
}
inline uint16x4_t load_u16_n(const uint16_t * p, int n) {
    uint16_t padded[4] = {};
    std::memcpy(padded, p, static_cast<size_t>(n) * 2);
    return vld1_u16(padded);
}
inline F load_f16(const uint16_t * p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
inline F load_f16_n(const uint16_t * p, int n) {
    return vcvt_f32_f16(vreinterpret_f16_u16(load_u16_n(p, n)));
}
inline F widen_bf16(uint16x4_t v) { return vreinterpretq_f32_u32(vshll_n_u16(v, 16)); }
inline F load_bf16(const uint16_t * p) { return widen_bf16(vld1_u16(p)); }
inline F load_bf16_n(const uint16_t * p, int n) { return widen_bf16(load_u16_n(p, n)); }
inline F load_i8(const int8_t * p) {
    int32_t four;
    std::memcpy(&four, p, 4);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
/// The 32 values of a Q4_0 block: low nibbles first, then high ones.
inline void unpack_nibbles(const uint8_t * nibbles, int8_t * to) {
    const uint8x16_t both = vld1q_u8(nibbles);
    const int8x16_t eight = vdupq_n_s8(8);
    vst1q_s8(to, vsubq_s8(vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), eight));
    vst1q_s8(to + 16, vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(both, 4)), eight));
}
inline float half_to_float(uint16_t h) {
    __fp16 v;
    std::memcpy(&v, &h, 2);
    return v;
}

inline F add(F a, F b) { return vaddq_f32(a, b); }
inline F sub(F a, F b) { return vsubq_f32(a, b); }
inline F mul(F a, F b) { return vmulq_f32(a, b); }
inline F div(F a, F b) { return vdivq_f32(a, b); }
inline F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
inline F max(F a, F b) { return vmaxq_f32(a, b); }
inline F min(F a, F b) { return vminq_f32(a, b); }
inline F abs(F a) { return vabsq_f32(a); }
inline F round(F a) { return vrndnq_f32(a); }
inline F where_negative(F x, F negative, F otherwise) {
    return vbslq_f32(vcltzq_f32(x), negative, otherwise);
}
/// v · 2^n for integral n, 0 below the smallest normal factor.
inline F scale2(F v, F n) {
    const int32x4_t e = vaddq_s32(vcvtnq_s32_f32(max(n, set1(-127.0f))), vdupq_n_s32(127));
    return mul(v, vreinterpretq_f32_s32(vshlq_n_s32(e, 23)));
}
inline float sum(F v) { return vaddvq_f32(v); }
inline float highest(F v) { return vmaxvq_f32(v); }

/// The lower and upper half of a vector; panels are wider than a vector here, so nothing is split.
inline void store_halves(float * low, float * high, F v) {
    vst1_f32(low, vget_low_f32(v));
    vst1_f32(high, vget_high_f32(v));
}

inline void transpose(F * r) {
    const F t0 = vtrn1q_f32(r[0], r[1]), t1 = vtrn2q_f32(r[0], r[1]);
    const F t2 = vtrn1q_f32(r[2], r[3]), t3 = vtrn2q_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(t0), vget_low_f32(t2));
    r[1] = vcombine_f32(vget_low_f32(t1), vget_low_f32(t3));
    r[2] = vcombine_f32(vget_high_f32(t0), vget_high_f32(t2));
    r[3] = vcombine_f32(vget_high_f32(t1), vget_high_f32(t3));
}

/// r[j] lane t becomes element 4t + j of the 4·L floats at p.
inline void load_strided4(const float * p, F * r) {
    const float32x4x4_t v = vld4q_f32(p);
    for (int j = 0; j < 4; j++) r[j] = v.val[j];
}

/// The inverse of load_strided4.
inline void store_strided4(float * p, const F * r) {
    float32x4x4_t v;
    for (int j = 0; j < 4; j++) v.val[j] = r[j];
    vst4q_f32(p, v);
}

}  // namespace
