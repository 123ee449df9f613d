// Compares every kernel with a plain double-precision reference. Prints one line per failure and a count;
// IMAGEFORGE_ISA chooses the instruction set under test.
#include "kernels/kernels.h"

#include <algorithm>

#include "kernels_check.h"

namespace imageforge::kernels_test {

void check(bool holds, const std::string & failure) {
    checks++;
    if (holds) return;
    failures++;
    std::printf("FAILED %s\n", failure.c_str());
}

void check(const std::string & what, ggml_tensor * node, const std::vector<double> & expected,
           double tolerance) {
    for (int threads : {1, 2, 5}) {
        float * y = static_cast<float *>(node->data);
        for (size_t i = 0; i < expected.size(); i++) y[i] = NAN;
        run(node, threads);
        double difference = 0, norm = 0;
        for (size_t i = 0; i < expected.size(); i++) {
            difference += (y[i] - expected[i]) * (y[i] - expected[i]);
            norm += expected[i] * expected[i];
        }
        const double error = std::sqrt(difference / (norm > 0 ? norm : 1));
        double & worst = tolerance < 1e-4 ? worst_f32 : worst_quantised;
        worst = std::max(worst, error);
        char text[80];
        std::snprintf(text, sizeof text, ", %d threads: relative error %.3g, allowed %.3g", threads, error,
                      tolerance);
        check(error <= tolerance, what + text);
    }
}

}  // namespace imageforge::kernels_test

int main() {
    using namespace imageforge;
    using namespace imageforge::kernels_test;
    std::printf("kernels: %s\n", kernels::name());
    if (!kernels::available()) return 0;
    test_linears();
    test_convolutions();
    test_attentions();
    test_norms_and_activations();
    test_stopping();
    std::printf(
        "%d checks, %d failed; largest error in F32 %.2g, with 8-bit activations %.2g; scratch %.1f MiB\n",
        checks, failures, worst_f32, worst_quantised, kernels::scratch_bytes() / 1048576.0);
    kernels::release_scratch();
    if (kernels::scratch_bytes() != 0) failures++;
    return failures ? 1 : 0;
}
