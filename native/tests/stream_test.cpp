// Tests streamed weights: pages of a mapped file on the CPU, and copies of weights that can't be used in
// place. Every file of the second kind begins with one extra byte, so that nothing in it is aligned and the
// CPU has to copy all of it, like a device with its own memory.
#include <ggml.h>

#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sys/resource.h>
#include <unistd.h>
#endif

#include "checks.h"
#include "core/device.h"
#include "core/lora.h"
#include "core/runner.h"
#include "core/stream.h"
#include "core/weights.h"
#include "nn/linear.h"

using namespace imageforge;

namespace {

// ---- pages

/// Resident bytes of mapped files.
uint64_t resident_file_bytes() {
    std::ifstream status("/proc/self/status");
    std::string word;
    uint64_t kibibytes = 0;
    while (status >> word)
        if (word == "RssFile:" && status >> kibibytes) return kibibytes * 1024;
    return 0;
}

/// Eight matrices of 4 MiB in sequence, once with all their pages and once in stretches of one matrix.
void check_pages(Device & device) {
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
        // Two weights in one operation, more than a stretch may hold.
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
    if (before > 0) {
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

// ---- copies

/// A file under construction.
struct File {
    std::vector<uint8_t> bytes = {0};
    WeightTable table;
    std::mt19937 random{7};

    void add(const std::string & name, const std::string & type, const Shape & shape, float scale = 1,
             int64_t first_row = -1) {
        size_t count = 1;
        for (const int64_t n : shape) count *= static_cast<size_t>(n);
        table.tensors.push_back({name, 0, bytes.size(), type, shape, scale, first_row});
        for (size_t i = 0; i < count; ++i) {
            if (type == "f8_e4m3") {
                bytes.push_back(static_cast<uint8_t>(random() % 0x7f | (random() & 0x80)));  // no NaN
            } else {
                const float value = std::uniform_real_distribution<float>(-1, 1)(random);
                const auto * raw = reinterpret_cast<const uint8_t *>(&value);
                bytes.insert(bytes.end(), raw, raw + sizeof value);
            }
        }
    }

    WeightTable write() {
        table.files = {write_file(bytes.data(), bytes.size())};
        return table;
    }
};

constexpr int64_t width = 128, vocabulary = 1000, layers = 8;
constexpr uint64_t matrix = width * width * sizeof(float);  // an F32 layer; layers from FP8 have half of that
constexpr uint64_t matrices = layers / 2 * (matrix + matrix / 2);
constexpr uint64_t tables = (vocabulary + 2) * width * sizeof(float);

WeightTable write_network() {
    File file;
    file.add("tokens", "f32", {width, vocabulary});
    file.add("kinds", "f32", {width, 2});
    for (int i = 0; i < layers; ++i) {
        const std::string name = std::to_string(i);
        if (i % 2 == 0) {
            file.add(name + ".weight", "f32", {width, width});
        } else {
            // Converted, each half with its own scale.
            file.add(name + ".weight", "f8_e4m3", {width, width / 2}, 0.5f, 0);
            file.add(name + ".weight", "f8_e4m3", {width, width / 2}, 0.25f, width / 2);
        }
        file.add(name + ".bias", "f32", {width});
    }
    return file.write();
}

/// Looks up tokens and passes them through linear layers. The first layer's weight is used again at the end,
/// through a view.
struct Network {
    WeightStore store;
    Tensor tokens, kinds;
    std::vector<Linear> linear;
    Runner runner;
    void * abort_in = nullptr;  // the device on which to abort midway

    Network(Device & device, const WeightTable & table, const Streaming * streaming)
        : store(device, table), runner(device, true) {
        for (int i = 0; i < layers; ++i) linear.emplace_back(store.root() / i, width, width);
        tokens = store.root().get("tokens", {width, vocabulary});
        kinds = store.root().get("kinds", {width, 2});
        store.load(streaming ? std::optional(streaming->keep) : std::nullopt);
        if (streaming) runner.stream_from(store, *streaming);
    }

    void build(GraphBuilder & graph, int64_t count, int from) const {
        const Ctx & ctx = graph.ctx();
        Tensor x = ggml_get_rows(ctx.graph, tokens, graph.input("ids", {count}, GGML_TYPE_I32));
        for (int i = from; i < layers; ++i) {
            if (abort_in && i == layers / 2)
                x = ggml_map_custom1(
                    ctx.graph, x,
                    [](ggml_tensor * y, const ggml_tensor * a, int, int, void * device) {
                        std::memcpy(y->data, a->data, ggml_nbytes(y));
                        static_cast<Device *>(device)->request_abort();
                    },
                    1, abort_in);
            x = ggml_rms_norm(ctx.graph, linear[i].forward(ctx, x), 1e-6f);
        }
        Tensor first = linear[0].weight;
        first = ggml_view_2d(ctx.graph, first, width, width / 2, first->nb[1], first->nb[1] * width / 2);
        graph.output("half", ggml_mul_mat(ctx.graph, first, x));
        graph.output("y",
                     ggml_add(ctx.graph, x,
                              ggml_get_rows(ctx.graph, kinds, graph.input("kinds", {count}, GGML_TYPE_I32))));
    }

    /// `from` is the first layer.
    Outputs run(int64_t count, int from = 0) {
        std::vector<int32_t> ids, of_kind;
        for (int64_t i = 0; i < count; ++i) {
            ids.push_back(static_cast<int32_t>(i * 37 % vocabulary));
            of_kind.push_back(static_cast<int32_t>(i % 2));
        }
        const std::string key = std::to_string(count) + " from " + std::to_string(from);
        return runner.run(key, [&](GraphBuilder & graph) { build(graph, count, from); },
                          {{"ids", ids}, {"kinds", of_kind}});
    }
};

bool equal(const Outputs & a, const Outputs & b) {
    return a.at("y").data == b.at("y").data && a.at("half").data == b.at("half").data;
}

void check_copies(Device & device, const WeightTable & table) {
    Network whole(device, table, nullptr);
    check(whole.store.bytes_mapped() == 0 && whole.store.bytes_allocated() >= matrices + tables,
          "a network that isn't streamed lies in memory of its own");
    const Outputs few = whole.run(3), part = whole.run(3, 3), many = whole.run(17);
    const uint64_t before = device.compute_bytes();
    for (const double keep : {0.0, 0.5, 1.0}) {
        std::printf("     keep %g\n", keep);
        const Streaming streaming = {matrix, keep};
        Network streamed(device, table, &streaming);
        const bool same = equal(streamed.run(17), many) && equal(streamed.run(3), few) &&
                          equal(streamed.run(3, 3), part) && equal(streamed.run(17), many);
        check(same, "graphs of several shapes give the same values");
        const uint64_t slots = device.compute_bytes() - before;
        check(keep < 1 ? slots > 0 && slots <= 2 * (matrix + 1024) : slots == 0, "in two slots of a stretch");
        const uint64_t vectors = layers * width * sizeof(float);
        const double kept = keep * static_cast<double>(matrices + tables);
        const double held = static_cast<double>(streamed.store.bytes_allocated() - vectors);
        check(held <= kept + 8192 && held >= kept - static_cast<double>(tables + matrix),
              "and no more memory than what is kept");
        streamed.runner.start_profile();
        check(equal(streamed.run(17), many) && streamed.runner.stop_profile().runs == 1,
              "and when they are profiled");
    }
    check(device.compute_bytes() == before, "the slots go with their network");
}

void check_loras(Device & device, const WeightTable & table) {
    File file;
    for (const int i : {0, 3}) {
        file.add(std::to_string(i) + ".down", "f32", {width, 4});
        file.add(std::to_string(i) + ".up", "f32", {4, width});
    }
    Lora lora = {file.write(), {}};
    for (const std::string i : {"0", "3"})
        lora.updates.push_back({i + ".weight", i + ".up", i + ".down", 0.5f});
    const Streaming streaming = {matrix, 0};
    Network whole(device, table, nullptr), streamed(device, table, &streaming);
    const Outputs plain = whole.run(5);
    const LoraSet to_whole = load_loras(device, whole.store, {lora});
    const LoraSet to_streamed = load_loras(device, streamed.store, {lora});
    check(equal(streamed.run(5), plain), "a graph before there is a LoRA");
    whole.runner.set_loras(to_whole.updates);
    streamed.runner.set_loras(to_streamed.updates);
    const Outputs updated = whole.run(5);
    check(!equal(updated, plain) && equal(streamed.run(5), updated),
          "a LoRA updates weights that come and go");
    std::remove(lora.weights.files[0].c_str());
}

void check_interruptions(Device & device, const WeightTable & table) {
    const Streaming streaming = {matrix, 0};
    Network whole(device, table, nullptr), streamed(device, table, &streaming);
    const Outputs expected = whole.run(9);
    check(equal(streamed.run(9), expected), "a run before the interruptions");
    if (device.is_cpu()) {
        streamed.abort_in = &device;
        check(throws(ErrorCode::Aborted, [&] { streamed.run(8); }), "an abort between two layers ends a run");
        streamed.abort_in = nullptr;
        device.clear_abort();
        check(equal(streamed.run(9), expected), "and the next one is right");
    }
    device.request_abort();
    check(throws(ErrorCode::Aborted, [&] { streamed.run(9); }), "an abort before it begins");
    device.clear_abort();
    check(
        throws(
            ErrorCode::Internal, [&] { whole.store.read_row(whole.tokens, vocabulary); }, "from row 1000 on"),
        "a row that the table doesn't have");
    check(equal(streamed.run(9), expected), "leaves the rest working");
#if defined(__linux__)
    if (!device.is_cpu()) return;
    // The process may grow by less than the slots take.
    const Streaming coarse = {8 * matrix, 0};
    Network large(device, table, &coarse);
    whole.run(9);
    rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit tight = limit;
    tight.rlim_cur = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + 4 * matrix;
    setrlimit(RLIMIT_AS, &tight);
    const bool refused = throws(
        ErrorCode::OutOfMemory, [&] { large.run(9); }, "for the weights of computing");
    setrlimit(RLIMIT_AS, &limit);
    check(refused, "slots that don't fit are refused with figures");
    check(equal(large.run(9), expected), "and allocated when they do");
#endif
}

/// A graph divided between device and CPU can't be cut into stretches too: all its weights come at once.
void check_whole_graph(Device & device, const WeightTable & table) {
    const Streaming streaming = {matrix, 0};
    Network streamed(device, table, &streaming);
    const uint64_t before = device.compute_bytes();
    ggml_init_params params = {};
    params.mem_size = 64 * ggml_tensor_overhead() + ggml_graph_overhead();
    params.no_alloc = true;
    ggml_context * context = ggml_init(params);
    ggml_cgraph * graph = ggml_new_graph(context);
    Tensor sum = streamed.linear[0].weight;
    for (int i = 2; i < layers; i += 2) sum = ggml_add(context, sum, streamed.linear[i].weight);
    ggml_build_forward_expand(graph, sum);
    {
        WeightStream stream(device, streamed.store, streaming);
        stream.bring_all(graph, "a test");
        const uint64_t slots = device.compute_bytes() - before;
        check(slots >= layers / 2 * matrix && slots < layers / 2 * matrix + 4096, "all that a graph reads");
        ggml_backend_buffer_t results =
            ggml_backend_alloc_ctx_tensors_from_buft(context, device.buffer_type());
        ggml_backend_graph_compute(device.backend(), graph);
        std::vector<float> row(width), expected(width);
        ggml_backend_tensor_get(sum, row.data(), 5 * width * sizeof(float), width * sizeof(float));
        for (int i = 0; i < layers; i += 2) {
            const auto values = streamed.store.read_row(streamed.linear[i].weight, 5);
            for (int64_t j = 0; j < width; ++j) expected[j] += values[j];
        }
        check(row == expected, "is there at once");
        ggml_backend_buffer_free(results);
    }
    check(device.compute_bytes() == before && !streamed.linear[0].weight->buffer, "and goes");
    ggml_free(context);
}

}  // namespace

int main() {
    const char * wanted = std::getenv("IMAGEFORGE_DEVICE");
    Device device({wanted ? wanted : "cpu", 2});
    if (device.is_cpu()) check_pages(device);
    const WeightTable table = write_network();
    check_copies(device, table);
    check_loras(device, table);
    check_interruptions(device, table);
    check_whole_graph(device, table);
    std::remove(table.files[0].c_str());
    return report();
}
