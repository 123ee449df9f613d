// Tests attention with odd lengths and head sizes, masked, causal, and from a fused projection.
#include <algorithm>

#include "kernels_check.h"

namespace imageforge::kernels_test {

namespace {

void test_attention(int64_t d, int64_t heads, int64_t lq, int64_t lk, int64_t batch, bool masked, bool causal,
                    bool fused, bool eight_bit = false) {
    Context context(64u << 20);
    auto operand = [&](int64_t length, int part) {
        if (!fused) return make(context, GGML_TYPE_F32, {d, heads, length, batch}, random_source);
        ggml_tensor * all = make(context, GGML_TYPE_F32, {3 * d * heads, length, batch}, random_source);
        return ggml_view_4d(context, all, d, heads, length, batch, d * sizeof(float), all->nb[1], all->nb[2],
                            part * d * heads * sizeof(float));
    };
    ggml_tensor *q = operand(lq, 0), *k = operand(lk, 1), *v = operand(lk, 2);
    // Keys of real networks have a common part, on which the 8 bits must not be spent.
    for (int64_t i = 0; eight_bit && !fused && i < ggml_nelements(k); i++)
        static_cast<float *>(k->data)[i] += static_cast<float>(i % d % 7);
    ggml_tensor * mask = masked ? make(context, GGML_TYPE_F32, {lk, lq}, random_source) : nullptr;
    if (mask && lk > 3) {
        for (int64_t i = 0; i < lq; i++) static_cast<float *>(mask->data)[i * lk + (i + 1) % lk] = -INFINITY;
    }
    const float scale = 1.0f / std::sqrt(static_cast<float>(d));
    ggml_tensor * y = kernels::attention(context, env, q, k, v, mask, scale, causal, eight_bit);
    auto at = [](ggml_tensor * t, int64_t i, int64_t h, int64_t row, int64_t n) {
        return *reinterpret_cast<float *>(static_cast<char *>(t->data) + i * 4 + h * t->nb[1] +
                                          row * t->nb[2] + n * t->nb[3]);
    };
    std::vector<double> expected(d * heads * lq * batch), score(lk);
    for (int64_t n = 0; n < batch; n++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < lq; i++) {
                const int64_t keys = causal && i + 1 < lk ? i + 1 : lk;
                double top = -1e300, total = 0;
                for (int64_t j = 0; j < keys; j++) {
                    double s = 0;
                    for (int64_t c = 0; c < d; c++)
                        s += static_cast<double>(at(q, c, h, i, n)) * at(k, c, h, j, n);
                    score[j] = s * scale + (mask ? static_cast<float *>(mask->data)[i * lk + j] : 0.0f);
                    top = std::max(top, score[j]);
                }
                for (int64_t j = 0; j < keys; j++) total += score[j] = std::exp(score[j] - top);
                for (int64_t c = 0; c < d; c++) {
                    double sum = 0;
                    for (int64_t j = 0; j < keys; j++) sum += score[j] * at(v, c, h, j, n);
                    expected[((n * lq + i) * heads + h) * d + c] = sum / total;
                }
            }
    check("attention d" + std::to_string(d) + " heads " + std::to_string(heads) + " " + std::to_string(lq) +
              " x " + std::to_string(lk) + (masked ? " masked" : "") + (causal ? " causal" : "") +
              (fused ? " fused" : "") + (eight_bit ? " on 8 bits" : ""),
          y, expected, eight_bit ? 0.012 : 3e-6);
}

}  // namespace

void test_attentions() {
    for (int64_t d : {8, 40, 48, 64, 72, 80, 128, 160, 512}) {
        test_attention(d, 2, 70, 77, 1, false, false, false);
        test_attention(d, 1, 19, 513, 2, false, false, true);
        test_attention(d, 2, 77, 77, 1, false, true, false);
        test_attention(d, 1, 50, 300, 1, true, false, true);
    }
    test_attention(40, 8, 600, 600, 1, false, false, true);
    test_attention(64, 2, 300, 300, 1, true, true, true);
    test_attention(7, 3, 1, 1, 1, false, false, false);
    for (int64_t d : {32, 40, 64, 80, 128, 160, 256}) {
        test_attention(d, 2, 70, 313, 1, false, false, false, true);
        test_attention(d, 1, 1, 77, 2, false, false, true, true);
        test_attention(d, 2, 301, 301, 1, true, true, true, true);
    }
}

}  // namespace imageforge::kernels_test
