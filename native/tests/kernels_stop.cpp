// An abort in the middle of a long operation takes effect soon.
#include <atomic>
#include <chrono>

#include "kernels_check.h"

namespace imageforge::kernels_test {

void test_stopping() {
    Context context(512u << 20);
    std::atomic<bool> abort{false};
    const kernels::Env stoppable{&abort};
    ggml_tensor * w = make(context, GGML_TYPE_F16, {4096, 8192}, random_source);
    ggml_tensor * x = ggml_new_tensor_2d(context, GGML_TYPE_F32, 4096, 4096);
    std::memset(x->data, 0, ggml_nbytes(x));
    ggml_tensor * node = kernels::linear(context, stoppable, w, x, nullptr);
    using Clock = std::chrono::steady_clock;
    std::thread caller([&] { run(node, 2); });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    const Clock::time_point start = Clock::now();
    abort = true;
    caller.join();
    const double latency = std::chrono::duration<double>(Clock::now() - start).count();
    check(latency <= 0.25, "abort: took " + std::to_string(latency) + " s");
}

}  // namespace imageforge::kernels_test
