// Node by node, so the sum is larger than a normal run's: threads start and stop at every operation.
#include "core/profile.h"

#include <ggml.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

namespace imageforge {

namespace {

double elements(const ggml_tensor * tensor) { return static_cast<double>(ggml_nelements(tensor)); }

/// Floating-point operations of the heavy kinds; 0 for what is bound by memory.
double count_flop(const ggml_tensor * node) {
    const ggml_tensor * a = node->src[0];
    const ggml_tensor * b = node->src[1];
    switch (node->op) {
        case GGML_OP_MUL_MAT:
            return 2 * elements(node) * static_cast<double>(a->ne[0]);
        case GGML_OP_CONV_2D:
            return 2 * elements(node) * static_cast<double>(a->ne[0] * a->ne[1] * a->ne[2]);
        case GGML_OP_FLASH_ATTN_EXT:
            return 4 * elements(a) * static_cast<double>(b->ne[1]);
        case GGML_OP_CUSTOM:
            // Our own kernels, by the names that they give their nodes; sources in the order of kernels.h.
            if (std::strcmp(node->name, "linear") == 0)
                return 2 * elements(node) * elements(a) / static_cast<double>(node->ne[0]);
            if (std::strcmp(node->name, "conv2d") == 0)
                return 2 * elements(node) * elements(a) / static_cast<double>(node->ne[2]);
            if (std::strcmp(node->name, "attention") == 0)
                return 4 * elements(a) * static_cast<double>(b->ne[2]);
            return 0;
        default:
            return 0;
    }
}

/// The kind of work, for sums over a network. Our own kernels are told by the names that they give their
/// nodes.
const char * kind_of(const ggml_tensor * node) {
    switch (node->op) {
        case GGML_OP_CONV_2D:
        case GGML_OP_IM2COL:
            return "convolution";
        case GGML_OP_MUL_MAT:
        case GGML_OP_OUT_PROD:
            return "product";
        case GGML_OP_FLASH_ATTN_EXT:
        case GGML_OP_SOFT_MAX:
            return "attention";
        case GGML_OP_NORM:
        case GGML_OP_RMS_NORM:
        case GGML_OP_GROUP_NORM:
            return "norm";
        case GGML_OP_UNARY:
        case GGML_OP_GLU:
            return "activation";
        case GGML_OP_CUSTOM:
            break;
        default:
            return "rest";
    }
    const auto named = [&](const char * part) { return std::strstr(node->name, part) != nullptr; };
    if (named("conv")) return "convolution";
    if (named("linear")) return "product";
    if (named("attention")) return "attention";
    if (named("norm")) return "norm";
    if (named("glu") || named("gelu") || named("silu")) return "activation";
    return "rest";
}

double count_bytes(const ggml_tensor * node) {
    double bytes = static_cast<double>(ggml_nbytes(node));
    for (const ggml_tensor * source : node->src)
        if (source) bytes += static_cast<double>(ggml_nbytes(source));
    return bytes;
}

std::string shape_text(const ggml_tensor * tensor) {
    std::string text = std::string(ggml_type_name(tensor->type)) + " [";
    for (int i = 0; i < ggml_n_dims(tensor); ++i) text += (i ? ", " : "") + std::to_string(tensor->ne[i]);
    return text + "]";
}

std::string label(const ggml_tensor * node) {
    std::string text = node->op == GGML_OP_CUSTOM ? node->name : ggml_op_desc(node);
    if (node->src[0]) text += " " + shape_text(node->src[0]);
    if (node->src[1]) text += " x " + shape_text(node->src[1]);
    return text;
}

bool computes(const ggml_tensor * node) {
    switch (node->op) {
        case GGML_OP_NONE:
        case GGML_OP_VIEW:
        case GGML_OP_RESHAPE:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE:
            return false;
        default:
            return true;
    }
}

}  // namespace

std::vector<ProfileEntry> Profile::by_time() const {
    std::vector<ProfileEntry> entries;
    for (const auto & entry : operations) entries.push_back(entry.second);
    std::sort(entries.begin(), entries.end(),
              [](const auto & a, const auto & b) { return a.seconds > b.seconds; });
    return entries;
}

std::string format_profile(const Profile & profile, size_t lines) {
    const auto entries = profile.by_time();
    double seconds = 0, flop = 0;
    for (const ProfileEntry & entry : entries) {
        seconds += entry.seconds;
        flop += entry.flop;
    }
    std::string text;
    char line[256];
    const auto add = [&](const std::string & operation, uint64_t calls, double took, double count) {
        std::snprintf(line, sizeof line, "%9.1f ms %5.1f %% %6llu calls %8.1f GFLOP/s  %s\n", took * 1e3,
                      seconds > 0 ? 100 * took / seconds : 0.0, static_cast<unsigned long long>(calls),
                      took > 0 ? count / took / 1e9 : 0.0, operation.c_str());
        text += line;
    };
    add("in all", profile.runs, seconds, flop);
    for (size_t i = 0; i < std::min(lines, entries.size()); ++i)
        add(entries[i].operation, entries[i].calls, entries[i].seconds, entries[i].flop);
    return text;
}

std::string profile_json(const std::string & network, const Profile & profile) {
    // Names are our own and ggml's: none has a character that JSON escapes.
    char text[512];
    std::snprintf(text, sizeof text,
                  "{\"network\":\"%s\",\"runs\":%llu,\"builds\":%llu,\"seconds\":%.9g,\"operations\":[",
                  network.c_str(), static_cast<unsigned long long>(profile.runs),
                  static_cast<unsigned long long>(profile.builds), profile.seconds);
    std::string json = text;
    const char * separator = "";
    for (const ProfileEntry & entry : profile.by_time()) {
        std::snprintf(text, sizeof text,
                      "%s{\"operation\":\"%s\",\"kind\":\"%s\",\"calls\":%llu,\"seconds\":%.9g,"
                      "\"flop\":%.9g,\"bytes\":%.9g}",
                      separator, entry.operation.c_str(), entry.kind.c_str(),
                      static_cast<unsigned long long>(entry.calls), entry.seconds, entry.flop, entry.bytes);
        json += text;
        separator = ",";
    }
    return json + "]}\n";
}

ggml_status compute_profiled(ggml_backend_t backend, ggml_cgraph * graph, Profile & profile) {
    ggml_init_params params = {};
    params.mem_size = ggml_graph_overhead_custom(1, false) + 1024;
    params.no_alloc = true;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        ggml_tensor * node = ggml_graph_node(graph, i);
        if (!computes(node)) continue;
        ggml_context * context = ggml_init(params);
        ggml_cgraph * single = ggml_new_graph_custom(context, 1, false);
        ggml_graph_add_node(single, node);
        const auto start = std::chrono::steady_clock::now();
        const ggml_status status = ggml_backend_graph_compute(backend, single);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        ggml_free(context);
        if (status != GGML_STATUS_SUCCESS) return status;
        const std::string name = label(node);
        ProfileEntry & entry = profile.operations[name];
        entry.operation = name;
        entry.kind = kind_of(node);
        entry.calls += 1;
        entry.seconds += took.count();
        entry.flop += count_flop(node);
        entry.bytes += count_bytes(node);
    }
    return GGML_STATUS_SUCCESS;
}

}  // namespace imageforge
