// Tests matrix products with odd sizes and all weight types.
#include "kernels_check.h"

namespace imageforge::kernels_test {

namespace {

void test_linear(ggml_type type, int64_t in, int64_t out, int64_t tokens, bool with_bias) {
    Context context(64u << 20);
    ggml_tensor * w = make(context, type, {in, out}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {in, tokens}, random_source);
    ggml_tensor * b = with_bias ? make(context, GGML_TYPE_F32, {out}, random_source) : nullptr;
    ggml_tensor * y = kernels::linear(context, env, w, x, b);
    const std::vector<float> wv = values_of(w), xv = values_of(x);
    std::vector<double> expected(out * tokens);
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t o = 0; o < out; o++) {
            double sum = b ? static_cast<float *>(b->data)[o] : 0;
            for (int64_t k = 0; k < in; k++) sum += static_cast<double>(wv[o * in + k]) * xv[t * in + k];
            expected[t * out + o] = sum;
        }
    }
    check("linear " + std::string(ggml_type_name(type)) + " " + std::to_string(in) + "->" +
              std::to_string(out) + " x " + std::to_string(tokens),
          y, expected, tolerance_of(type));
}

}  // namespace

void test_linears() {
    const ggml_type types[] = {GGML_TYPE_F32,  GGML_TYPE_F16,    GGML_TYPE_BF16,  GGML_TYPE_Q8_0,
                               GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,   GGML_TYPE_Q5_0,  GGML_TYPE_Q5_1,
                               GGML_TYPE_Q2_K, GGML_TYPE_Q3_K,   GGML_TYPE_Q4_K,  GGML_TYPE_Q5_K,
                               GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS};
    for (ggml_type type : types) {
        const bool quantised = ggml_is_quantized(type);
        for (int64_t tokens : {1, 2, 7, 8, 9, 77, 130}) {
            test_linear(type, 512, 96, tokens, true);
            test_linear(type, 1280, 333, tokens, false);
            if (!quantised) test_linear(type, 71, 50, tokens, true);
            if (!quantised) test_linear(type, 5, 3, tokens, true);
        }
    }
    test_linear(GGML_TYPE_F16, 320, 1100, 600, true);
    test_linear(GGML_TYPE_Q4_K, 2816, 1030, 200, true);
}

}  // namespace imageforge::kernels_test
