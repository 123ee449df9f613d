// Shared by the kernel tests: the comparison with expected values, and the count of checks.
#pragma once
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels_run.h"

namespace imageforge::kernels_test {

inline const kernels::Env env;
inline std::mt19937 random_source(1);
inline int checks = 0, failures = 0;
inline double worst_f32 = 0, worst_quantised = 0;

/// Relative L2 distance of the node's result from the expected values, on 1, 2 and 5 threads.
void check(const std::string & what, ggml_tensor * node, const std::vector<double> & expected,
           double tolerance);

/// Counts a check of another kind, and prints `failure` if it doesn't hold.
void check(bool holds, const std::string & failure);

/// Tolerance for products with weights of this type: quantised weights mean 8-bit activations.
inline double tolerance_of(ggml_type type) { return ggml_is_quantized(type) ? 0.012 : 5e-6; }

// Each in a file of its own.
void test_linears();
void test_convolutions();
void test_attentions();
void test_norms_and_activations();
void test_stopping();

}  // namespace imageforge::kernels_test
