// Micro benchmark of native/kernels on shapes from the networks. Prints GFLOP/s, and the share of what the
// register tile reaches on data in L1 (in 8-bit products for quantised weights), both on the given threads.
// Convolutions count the multiplications of the plain method. Products with few tokens print bytes of weights
// per second.
//   cmake -S . -B build -DIMAGEFORGE_TESTS=ON && cmake --build build --target kernels_bench
//   build/Release/kernels_bench [threads] [part of a name, or "machine" for the machine's limits only]
#include "kernels/kernels.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "kernels/cpu.h"
#include "tests/kernels_run.h"

using namespace imageforge;
using namespace imageforge::kernels_test;

namespace {

const kernels::Env env;
std::mt19937 random_source(1);
int threads = 2;
double peak = 0, peak_int8 = 0;
const char * wanted = "";

/// On one thread, counts only the program's own processor time, so that figures compare even on a busy
/// machine.
double seconds() {
    if (threads == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The best of the runs that fill half a second (at least three), since other programs can only add time.
template <typename Run>
double time_of(Run run) {
    run();
    std::vector<double> times;
    for (double spent = 0; spent < 0.5 || times.size() < 3;) {
        const double start = seconds();
        run();
        times.push_back(seconds() - start);
        spent += times.back();
    }
    return *std::min_element(times.begin(), times.end());
}

/// GFLOP/s of a tile, running on all threads at once.
double measure_peak(double (*tile)(int64_t), int64_t repeats) {
    double flops = 0;
    const double time = time_of([&] {
        std::vector<std::thread> others;
        for (int i = 1; i < threads; i++) others.emplace_back([=] { tile(repeats); });
        flops = tile(repeats) * threads;
        for (std::thread & thread : others) thread.join();
    });
    return flops / time * 1e-9;
}

void report(const std::string & name, ggml_tensor * node, double flops, double bytes = 0) {
    const double time = time_of([&] { run(node, threads); });
    const double own = peak_int8 > 0 && ggml_is_quantized(node->src[0]->type) ? peak_int8 : peak;
    std::printf("%-46s %9.3f ms", name.c_str(), time * 1e3);
    if (flops > 0) std::printf(" %8.1f GFLOP/s %5.0f %%", flops / time * 1e-9, flops / time * 1e-7 / own);
    if (flops == 0 && bytes == 0) {
        bytes = ggml_nbytes(node);
        for (ggml_tensor * source : node->src) bytes += source ? ggml_nbytes(source) : 0;
    }
    if (bytes > 0) std::printf(" %8.1f GB/s", bytes / time * 1e-9);
    std::printf("\n");
    std::fflush(stdout);
}

bool skipped(const std::string & name) { return name.find(wanted) == std::string::npos; }

/// The machine's limits: a large matrix product in F32, and copying between arrays far larger than the caches
/// (bytes read plus bytes written).
void measure_machine() {
    constexpr int64_t side = 2048;
    Context context(side * side * 4 * 4);
    ggml_tensor * w = make(context, GGML_TYPE_F32, {side, side}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {side, side}, random_source);
    report("machine: product f32 2048^3", kernels::linear(context, env, w, x, nullptr),
           2.0 * side * side * side);

    constexpr size_t bytes = 256u << 20;
    std::vector<std::vector<char>> from(threads, std::vector<char>(bytes / threads, 1)), to = from;
    const double time = time_of([&] {
        std::vector<std::thread> others;
        const auto copy = [&](int i) { std::memcpy(to[i].data(), from[i].data(), from[i].size()); };
        for (int i = 1; i < threads; i++) others.emplace_back(copy, i);
        copy(0);
        for (std::thread & thread : others) thread.join();
    });
    std::printf("%-46s %9.3f ms %8.1f GB/s\n", "machine: copy 256 MiB", time * 1e3, 2e-9 * bytes / time);
}

void linear(ggml_type type, int64_t in, int64_t out, int64_t tokens) {
    const std::string name = std::string("linear ") + ggml_type_name(type) + " " + std::to_string(in) + "->" +
                             std::to_string(out) + " x " + std::to_string(tokens);
    if (skipped(name)) return;
    Context context(((in + out) * tokens + in * out) * 5);
    ggml_tensor * w = make(context, type, {in, out}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {in, tokens}, random_source);
    ggml_tensor * b = make(context, GGML_TYPE_F32, {out}, random_source);
    const double bytes = tokens <= 8 ? ggml_nbytes(w) : 0;
    report(name, kernels::linear(context, env, w, x, b), 2.0 * in * out * tokens, bytes);
}

void conv(ggml_type type, int64_t side, int64_t in, int64_t out, int kernel = 3, int stride = 1,
          int batch = 1) {
    const std::string name = std::string("conv ") + ggml_type_name(type) + " " + std::to_string(kernel) +
                             "x" + std::to_string(kernel) + (stride > 1 ? " stride 2 " : " ") +
                             std::to_string(in) + "->" + std::to_string(out) + " " + std::to_string(side) +
                             "^2" + (batch > 1 ? " x " + std::to_string(batch) : "");
    if (skipped(name)) return;
    Context context((side * side * (in + out) * batch + in * out * kernel * kernel) * 5);
    ggml_tensor * w = ggml_is_quantized(type) ? make(context, type, {in, kernel * kernel, out}, random_source)
                                              : make(context, type, {kernel, kernel, in, out}, random_source);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {side, side, in, batch}, random_source);
    ggml_tensor * b = make(context, GGML_TYPE_F32, {out}, random_source);
    kernels::ConvParams params;
    params.stride = stride;
    if (kernel == 1) params.pad_left = params.pad_right = params.pad_top = params.pad_bottom = 0;
    const double pixels = static_cast<double>(side / stride) * (side / stride) * batch;
    report(name, kernels::conv2d(context, env, w, x, b, params), 2.0 * in * out * kernel * kernel * pixels);
}

void attention(int64_t d, int64_t heads, int64_t queries, int64_t keys, bool eight_bit = false) {
    const std::string name = "attention " + std::to_string(queries) + " x " + std::to_string(keys) + ", " +
                             std::to_string(heads) + " heads of " + std::to_string(d) +
                             (eight_bit ? ", scores on 8 bits" : "");
    if (skipped(name)) return;
    Context context((2 * queries + 2 * keys) * d * heads * 5);
    ggml_tensor * q = make(context, GGML_TYPE_F32, {d, heads, queries}, random_source);
    ggml_tensor * k = make(context, GGML_TYPE_F32, {d, heads, keys}, random_source);
    ggml_tensor * v = make(context, GGML_TYPE_F32, {d, heads, keys}, random_source);
    report(name, kernels::attention(context, env, q, k, v, nullptr, 0.1f, false, eight_bit),
           4.0 * d * heads * queries * keys);
}

void memory_bound() {
    if (!skipped("group_norm")) {
        for (int64_t side : {64, 512}) {
            const int64_t channels = side == 64 ? 320 : 128;
            Context context(side * side * channels * 9);
            ggml_tensor * x = make(context, GGML_TYPE_F32, {side, side, channels}, random_source);
            ggml_tensor * w = make(context, GGML_TYPE_F32, {channels}, random_source);
            report("group_norm + silu " + std::to_string(channels) + " " + std::to_string(side) + "^2",
                   kernels::group_norm(context, env, x, w, w, {32, 1e-5f, true}), 0);
        }
    }
    Context context(128u << 20);
    ggml_tensor * x = make(context, GGML_TYPE_F32, {320, 4096}, random_source);
    ggml_tensor * w = make(context, GGML_TYPE_F32, {320}, random_source);
    if (!skipped("layer_norm"))
        report("layer_norm 320 x 4096", kernels::layer_norm(context, env, x, w, w, 1e-5f), 0);
    ggml_tensor * gates = make(context, GGML_TYPE_F32, {2560, 4096}, random_source);
    if (!skipped("geglu")) report("geglu 1280 x 4096", kernels::geglu(context, env, gates), 0);
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc > 1) threads = std::max(1, std::atoi(argv[1]));
    if (argc > 2) wanted = argv[2];
    if (!kernels::available()) {
        std::printf("no kernels for this processor\n");
        return 1;
    }
    peak = measure_peak(kernels::table()->tile_peak, 20000);
    if (kernels::table()->tile_peak_int8) peak_int8 = measure_peak(kernels::table()->tile_peak_int8, 20000);
    std::printf("%s, %d threads, register tile in L1: %.0f GFLOP/s, of 8-bit products %.0f\n",
                kernels::name(), threads, peak, peak_int8);
    if (!skipped("machine")) measure_machine();
    for (ggml_type type :
         {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K}) {
        linear(type, 1280, 1280, 1);
        linear(type, 1280, 1280, 2);
        linear(type, 3072, 18432, 1);
        linear(type, 3072, 18432, 4);
    }
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K}) {
        if (type != GGML_TYPE_Q4_K) linear(type, 320, 320, 4096);
        if (type != GGML_TYPE_Q4_K) linear(type, 320, 2560, 4096);
        linear(type, 1280, 1280, 256);
        linear(type, 1280, 10240, 64);
        linear(type, 768, 1280, 77);
        linear(type, 3072, 12288, 1280);
    }
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
        conv(type, 64, 320, 320);
        conv(type, 64, 960, 320);
        conv(type, 32, 640, 640);
        conv(type, 16, 1280, 1280);
        conv(type, 16, 1280, 1280, 3, 1, 2);
        conv(type, 8, 1280, 1280);
        conv(type, 8, 1280, 1280, 3, 1, 2);
        conv(type, 64, 320, 320, 3, 2);
        conv(type, 64, 320, 320, 1);
        conv(type, 32, 1280, 640, 1);
    }
    conv(GGML_TYPE_F16, 64, 4, 320);
    conv(GGML_TYPE_F16, 64, 320, 4);
    conv(GGML_TYPE_F16, 64, 512, 512);
    conv(GGML_TYPE_F16, 256, 256, 256);
    conv(GGML_TYPE_Q8_0, 256, 256, 256);
    conv(GGML_TYPE_F16, 512, 128, 128);
    conv(GGML_TYPE_F16, 512, 128, 3);
    attention(40, 8, 4096, 4096);
    attention(40, 8, 4096, 77);
    attention(80, 8, 1024, 1024);
    attention(160, 8, 256, 256);
    attention(64, 10, 4096, 4096);
    attention(128, 24, 1280, 1280);
    attention(128, 24, 4352, 4352);
    attention(512, 1, 4096, 4096);
    attention(40, 8, 4096, 4096, true);
    attention(64, 10, 4096, 4096, true);
    attention(128, 24, 1280, 1280, true);
    attention(128, 24, 4352, 4352, true);
    memory_bound();
    std::printf("working memory kept: %.1f MiB\n", kernels::scratch_bytes() / 1048576.0);
    return 0;
}
