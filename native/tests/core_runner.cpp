// Tests the core without Node: devices, weights from a mapped file, and a graph that is cached, fed,
// profiled, aborted and refused.
#include <ggml.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "checks.h"
#include "core/device.h"
#include "core/memory.h"
#include "core/runner.h"
#include "core/weights.h"

using namespace imageforge;

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
    return report();
}
