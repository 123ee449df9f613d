// Runs one node of native/kernels on the test's own threads, without a ggml backend.
#pragma once
#include <ggml.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace imageforge::kernels_test {

/// The function and userdata that ggml_custom_4d keeps at the start of op_params.
struct CustomCall {
    ggml_custom_op_t function;
    int n_tasks;
    void * userdata;
};

inline void run(ggml_tensor * node, int threads) {
    CustomCall call;
    std::memcpy(&call, node->op_params, sizeof(call));
    std::vector<std::thread> others;
    for (int i = 1; i < threads; i++) {
        others.emplace_back([&, i] { call.function(node, i, threads, call.userdata); });
    }
    call.function(node, 0, threads, call.userdata);
    for (std::thread & thread : others) thread.join();
}

/// A ggml context with its own memory, large enough for `bytes` of tensors.
struct Context {
    ggml_context * graph;
    explicit Context(size_t bytes) : graph(ggml_init({bytes + (1u << 20), nullptr, false})) {}
    ~Context() { ggml_free(graph); }
    operator ggml_context *() const { return graph; }
};

inline void fill(float * values, int64_t count, std::mt19937 & random, float scale = 1.0f) {
    std::normal_distribution<float> normal(0.0f, scale);
    for (int64_t i = 0; i < count; i++) values[i] = normal(random);
}

/// Makes a tensor of this type with normally distributed values; ggml quantises it.
inline ggml_tensor * make(ggml_context * context, ggml_type type, std::vector<int64_t> shape,
                          std::mt19937 & random, float scale = 1.0f) {
    ggml_tensor * t = ggml_new_tensor(context, type, static_cast<int>(shape.size()), shape.data());
    const int64_t count = ggml_nelements(t);
    if (type == GGML_TYPE_F32) {
        fill(static_cast<float *>(t->data), count, random, scale);
        return t;
    }
    std::vector<float> values(count);
    fill(values.data(), count, random, scale);
    ggml_quantize_chunk(type, values.data(), t->data, 0, count / t->ne[0], t->ne[0], nullptr);
    return t;
}

/// The tensor's values as floats.
inline std::vector<float> values_of(const ggml_tensor * t) {
    const int64_t count = ggml_nelements(t);
    std::vector<float> values(count);
    if (t->type == GGML_TYPE_F32) {
        std::memcpy(values.data(), t->data, count * sizeof(float));
    } else {
        ggml_get_type_traits(t->type)->to_float(t->data, values.data(), count);
    }
    return values;
}

}  // namespace imageforge::kernels_test
