// The core without Node: devices, weights from a mapped file, a graph that is cached, fed, profiled, aborted,
// refused.
#include <ggml.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "core/lora.h"
#include "core/memory.h"
#include "core/runner.h"
#include "core/weights.h"

using namespace imageforge;

namespace {

int failures = 0;

void check(bool right, const char * what) {
    std::printf("%s %s\n", right ? "ok  " : "FAIL", what);
    if (!right) ++failures;
}

template <typename Body>
bool throws(ErrorCode code, Body body) {
    try {
        body();
    } catch (const Error & error) {
        std::printf("     %s: %s\n", to_string(error.code()), error.what());
        return error.code() == code;
    }
    return false;
}

/// Rows [0, 1, 2, …], as F32, in a file of its own.
std::string write_values(size_t count) {
    std::string path = std::filesystem::temp_directory_path() / "imageforge-core-XXXXXX";
    const int descriptor = mkstemp(path.data());
    std::FILE * file = fdopen(descriptor, "wb");
    for (size_t i = 0; i < count; ++i) {
        const float value = static_cast<float>(i);
        std::fwrite(&value, sizeof value, 1, file);
    }
    std::fclose(file);
    return path;
}

/// Resident bytes of mapped files.
uint64_t resident_file_bytes() {
    std::ifstream status("/proc/self/status");
    std::string word;
    uint64_t kibibytes = 0;
    while (status >> word)
        if (word == "RssFile:" && status >> kibibytes) return kibibytes * 1024;
    return 0;
}

/// Eight matrices of 4 MiB in a row, once with all their pages and once in stretches of one matrix.
void check_stream(Device & device) {
    constexpr int64_t width = 1024;
    constexpr int layers = 8;
    constexpr uint64_t matrix = width * width * sizeof(float);
    const std::string path = write_values(layers * width * width);
    WeightTable table;
    table.files = {path};
    for (int i = 0; i < layers; ++i)
        table.tensors.push_back({std::to_string(i) + ".weight", 0, i * matrix, "f32", {width, width}});
    WeightStore store(device, table);
    std::vector<Tensor> weights;
    for (int i = 0; i < layers; ++i) weights.push_back((store.root() / i).get("weight", {width, width}));
    store.load();
    const Build chain = [&](GraphBuilder & graph) {
        ggml_context * g = graph.ctx().graph;
        Tensor x = graph.input("x", {width});
        // two weights in one operation, more than a stretch may have
        for (int i = 0; i < layers; i += 2)
            x = ggml_rms_norm(g, ggml_mul_mat(g, ggml_add(g, weights[i], weights[i + 1]), x), 1e-6f);
        graph.output("y", x);
    };
    const HostTensor x = {{width}, std::vector<float>(width, 1)};
    const auto run = [&](Runner & runner) { return runner.run("chain", chain, {{"x", x}}).at("y").data; };

    Runner whole(device, true), streamed(device, true);
    streamed.stream_from(store, {matrix, 0});
    const uint64_t before = resident_file_bytes();
    const std::vector<float> expected = run(whole);
    const uint64_t all = resident_file_bytes();
    store.give_back();
    const uint64_t none = resident_file_bytes();
    const std::vector<float> found = run(streamed);
    const uint64_t after = resident_file_bytes();
    check(found == expected, "a streamed graph gives the same values");
    if (before > 0 && device.is_cpu()) {
        check(all >= before + layers * matrix * 9 / 10, "a graph leaves its weights resident");
        check(none < before + matrix, "which are given back when asked");
        check(after < before + matrix, "and by themselves when they are streamed");
    }
    for (const int kept : {4, layers}) {
        Runner partly(device, true);
        partly.stream_from(store, {matrix, static_cast<double>(kept) / layers});
        const uint64_t once = run(partly) == expected ? resident_file_bytes() : 0;
        const uint64_t twice = run(partly) == expected ? resident_file_bytes() : 0;
        check(once > 0 && twice > 0, "a graph that keeps some of its weights gives the same values");
        if (before == 0) continue;
        check(once >= before + kept * matrix * 9 / 10 && twice < before + kept * matrix + matrix / 2,
              "and as many stay as there is room for");
        store.give_back();
    }
    std::remove(path.c_str());
}

}  // namespace

int main() {
    const auto devices = list_devices();
    for (const DeviceInfo & d : devices)
        std::printf("     %s %s: %s of %s free\n", d.id.c_str(), d.name.c_str(),
                    format_bytes(d.memory_free).c_str(), format_bytes(d.memory_total).c_str());
    check(!devices.empty(), "there is a device");

    const char * wanted = std::getenv("IMAGEFORGE_DEVICE");
    Device device({wanted ? wanted : "cpu", 2});
    const std::string path = write_values(24);
    WeightTable table;
    table.files = {path};
    table.tensors = {{"layer.weight", 0, 0, "f32", {3, 2}}, {"layer.bias", 0, 24, "f32", {2}}};
    WeightStore store(device, table);
    const Weights layer = store.root() / "layer";
    const Tensor weight = layer.get("weight", {3, 2}), bias = layer.get("bias", {2});
    check(throws(ErrorCode::WeightsInvalid,
                 [&] {
                     layer.get("weight", {2, 3});
                 }),
          "another shape is refused");
    check(throws(ErrorCode::WeightsInvalid, [&] { layer.get("scale", {2}); }), "a missing tensor is refused");
    store.load();
    check(store.bytes_mapped() == (device.is_cpu() ? 32u : 0u), "the CPU uses the mapped bytes");

    Runner runner(device, true);
    int builds = 0;
    const Build linear = [&](GraphBuilder & graph) {
        ++builds;
        ggml_context * g = graph.ctx().graph;
        const Tensor x = graph.input("x", {3, 2});
        graph.output("y", ggml_add(g, ggml_mul_mat(g, weight, x), bias));
    };
    const HostTensor ones = {{3}, {1, 1, 1}}, steps = {{3}, {0, 1, 2}};
    const auto run = [&] {
        Feeds feeds;
        feeds["x"].add(ones).add(steps);
        return runner.run("linear", linear, feeds).at("y");
    };
    const std::vector<float> expected = {0 + 1 + 2 + 6, 3 + 4 + 5 + 7, 0 + 1 + 4 + 6, 0 + 4 + 10 + 7};
    check(run().data == expected, "a linear layer, fed in two pieces");

    Feeds feeds;
    feeds["x"].add(ones).add(steps);
    const DeviceTensors kept = runner.run_keep("linear", linear, feeds);
    const Build twice = [&](GraphBuilder & graph) {
        const Tensor y = graph.input("y", {2, 2});
        graph.output("sum", ggml_add(graph.ctx().graph, y, y));
    };
    Feeds again;
    again["y"].add(kept.at("y"));
    const HostTensor sum = runner.run("twice", twice, again).at("sum");
    check(sum.data[0] == 2 * expected[0] && sum.data[3] == 2 * expected[3],
          "a tensor kept on the device feeds a graph");
    check(run().data == expected && builds == 1, "a cached graph is laid out again after another ran");

    runner.start_profile();
    run();
    const auto profile = runner.stop_profile();
    double flop = 0, bytes = 0;
    for (const ProfileEntry & entry : profile.by_time()) {
        if (entry.kind == "product") flop += entry.flop;
        if (entry.kind == "rest") bytes += entry.bytes;
    }
    check(profile.operations.size() == 2 && flop == 2 * 3 * 2 * 2 && bytes == (4 + 2 + 4) * sizeof(float),
          "the profile counts operations and bytes by kind");
    check(profile.runs == 1 && profile.builds == 0 && profile.seconds >= profile.by_time()[0].seconds,
          "the profile counts runs, not builds of a cached graph");
    const std::string json = profile_json("layer", profile);
    check(json.find("{\"network\":\"layer\",\"runs\":1,\"builds\":0,") == 0 &&
              json.find("\"kind\":\"product\",\"calls\":1,") != std::string::npos,
          "the profile as JSON");

    const Build enormous = [](GraphBuilder & graph) {
        ggml_context * g = graph.ctx().graph;
        const Tensor x = graph.input("x", {1});
        graph.output("y", ggml_repeat_4d(g, x, 1 << 20, 1 << 20, 16, 1));
    };
    const std::vector<float> one = {1};
    check(throws(ErrorCode::OutOfMemory,
                 [&] {
                     runner.run("enormous", enormous, {{"x", one}});
                 }),
          "what doesn't fit is refused with figures");
    check(run().data == expected, "and leaves the rest working");
    device.request_abort();
    check(throws(ErrorCode::Aborted, run), "an abort ends a run");
    device.clear_abort();
    check(run().data == expected, "the next run is not aborted");

    std::remove(path.c_str());
    if (device.is_cpu()) check_stream(device);
    std::printf("%d failed\n", failures);
    return failures ? 1 : 0;
}
