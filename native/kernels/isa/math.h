// Elementary functions on vectors. Polynomials are least-maximum fits made for these ranges.
#pragma once
#include "simd.h"

namespace imageforge::kernels {
namespace {

template <typename T>
inline T lesser(T a, T b) {
    return a < b ? a : b;
}
template <typename T>
inline T greater(T a, T b) {
    return a > b ? a : b;
}
inline int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }
inline int64_t round_up(int64_t n, int64_t unit) { return parts(n, unit) * unit; }

/// 2^x for x in [-150, 126], relative error below 2e-7; smaller x give 0.
inline F exp2(F x) {
    x = max(x, set1(-150.0f));
    const F n = round(x), f = sub(x, n);
    F p = fma(set1(0.00134004322f), f, set1(0.0096760371f));
    p = fma(p, f, set1(0.0555032721f));
    p = fma(p, f, set1(0.240221074f));
    p = fma(p, f, set1(0.693147207f));
    p = fma(p, f, set1(1.00000008f));
    return scale2(p, n);
}

constexpr float log2_e = 1.44269504f;

inline F silu(F x) {
    const F e = exp2(min(mul(x, set1(-log2_e)), set1(126.0f)));
    return div(x, add(set1(1.0f), e));
}

/// GELU in its tanh form, which is x · sigmoid(x s) with s = 2 √(2 / π) (1 + 0.044715 x²).
inline F gelu_tanh(F x) {
    constexpr float slope = 1.5957691216f;
    const F s = fma(mul(x, x), set1(0.044715f * slope), set1(slope));
    const F e = exp2(min(mul(mul(x, s), set1(-log2_e)), set1(126.0f)));
    return div(x, add(set1(1.0f), e));
}

/// x · Φ(x), absolute error below 5e-7 · |x|: Abramowitz and Stegun 7.1.26 for erfc of |x| / √2, so that the
/// negative tail comes without cancellation.
inline F gelu_erf(F x) {
    const F z = mul(abs(x), set1(0.70710678f));
    const F t = div(set1(1.0f), fma(set1(0.3275911f), z, set1(1.0f)));
    F p = fma(set1(1.061405429f), t, set1(-1.453152027f));
    p = fma(p, t, set1(1.421413741f));
    p = fma(p, t, set1(-0.284496736f));
    p = fma(p, t, set1(0.254829592f));
    const F half_erfc = mul(mul(mul(p, t), set1(0.5f)), exp2(mul(mul(z, z), set1(-log2_e))));
    return mul(x, where_negative(x, half_erfc, sub(set1(1.0f), half_erfc)));
}

inline void copy_floats(float * to, const float * from, int64_t n) {
    int64_t i = 0;
    for (; i + L <= n; i += L) store(to + i, load(from + i));
    if (i < n) store_n(to + i, static_cast<int>(n - i), load_n(from + i, static_cast<int>(n - i)));
}

inline void zero_floats(float * to, int64_t n) {
    int64_t i = 0;
    for (; i + L <= n; i += L) store(to + i, zero());
    if (i < n) store_n(to + i, static_cast<int>(n - i), zero());
}

}  // namespace
}  // namespace imageforge::kernels
