// The kernels as ggml graph nodes: shapes are checked when a node is made, and turned into plain pointers
// when it runs.
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "cpu.h"
#include "kernels.h"

namespace imageforge::kernels {

namespace {

struct ConvNode {
    uint8_t stride, pad_left, pad_top, upsample2, kernel_w, kernel_h;
};
struct AttentionNode {
    float scale;
    uint16_t causal, eight_bit;
};
struct NormNode {
    float eps;
    int32_t groups;
    uint32_t silu;
};

struct ActivationNode {
    uint32_t gated;
};

/// What a node carries besides its sources. It lies in the tensor's own op_params, behind the function,
/// thread count and userdata that ggml_custom_4d keeps there, and so lives exactly as long as the node.
struct NodeState {
    TeamState team;
    union {
        ConvNode conv;
        AttentionNode attention;
        NormNode norm;
        ActivationNode activation;
    };
};

constexpr size_t state_offset = sizeof(ggml_custom_op_t) + 2 * sizeof(int32_t) + sizeof(void *);
static_assert(state_offset + sizeof(NodeState) <= GGML_MAX_OP_PARAMS,
              "a node's state has to fit into op_params");
static_assert(alignof(NodeState) <= alignof(int32_t), "op_params is an array of int32_t");

NodeState * state_of(Tensor node) {
    return reinterpret_cast<NodeState *>(reinterpret_cast<char *>(node->op_params) + state_offset);
}

template <void (*Compute)(Tensor, const NodeState &, Team &)>
void run_node(Tensor node, int index, int size, void * env) {
    NodeState * state = state_of(node);
    Team team(&state->team, index, size, static_cast<const Env *>(env)->abort);
    Compute(node, *state, team);
}

/// Adds a node whose result overwrites x.
template <void (*Compute)(Tensor, const NodeState &, Team &)>
Tensor add_node_in_place(const char * name, ggml_context * graph, const Env & env, Tensor x,
                         std::initializer_list<Tensor> others, const NodeState & state) {
    Tensor args[GGML_MAX_SRC] = {};
    int count = 0;
    for (Tensor source : others) args[count++] = source;
    Tensor node = ggml_custom_inplace(graph, x, args, count, run_node<Compute>, GGML_N_TASKS_MAX,
                                      const_cast<Env *>(&env));
    std::memcpy(state_of(node), &state, sizeof(state));
    ggml_set_name(node, name);
    return node;
}

template <void (*Compute)(Tensor, const NodeState &, Team &)>
Tensor add_node(const char * name, ggml_context * graph, const Env & env, int64_t ne0, int64_t ne1,
                int64_t ne2, int64_t ne3, std::initializer_list<Tensor> sources,
                const NodeState & state = {}) {
    Tensor args[GGML_MAX_SRC] = {};
    int count = 0;
    for (Tensor source : sources) args[count++] = source;
    while (count > 0 && !args[count - 1]) count--;
    Tensor node = ggml_custom_4d(graph, GGML_TYPE_F32, ne0, ne1, ne2, ne3, args, count, run_node<Compute>,
                                 GGML_N_TASKS_MAX, const_cast<Env *>(&env));
    std::memcpy(state_of(node), &state, sizeof(state));
    ggml_set_name(node, name);  // its name in a profile
    return node;
}

const float * data_of(Tensor t) { return t ? static_cast<const float *>(t->data) : nullptr; }

Storage storage_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32:
            return Storage::F32;
        case GGML_TYPE_F16:
            return Storage::F16;
        case GGML_TYPE_BF16:
            return Storage::BF16;
        case GGML_TYPE_Q8_0:
            return Storage::Q8_0;
        case GGML_TYPE_Q4_0:
            return Storage::Q4_0;
        default:
            return Storage::Quantised;
    }
}

/// The weight as a matrix of `rows` rows, whatever dimensions it is stored with.
WeightView view_weight(Tensor w, int64_t rows) {
    const int64_t columns = ggml_nelements(w) / rows;
    return {static_cast<const char *>(w->data),
            storage_of(w->type),
            rows,
            columns,
            ggml_row_size(w->type, columns),
            static_cast<int>(ggml_blck_size(w->type)),
            ggml_type_size(w->type),
            ggml_get_type_traits(w->type)->to_float};
}

void check_weight(Tensor w, int64_t columns) {
    GGML_ASSERT(ggml_is_contiguous(w) && columns % ggml_blck_size(w->type) == 0);
    GGML_ASSERT(w->type == GGML_TYPE_F32 || ggml_get_type_traits(w->type)->to_float);
}

void check_vector(Tensor v, int64_t size) {
    GGML_ASSERT(!v || (v->type == GGML_TYPE_F32 && ggml_is_contiguous(v) && ggml_nelements(v) == size));
}

void check_activation(Tensor x) { GGML_ASSERT(x->type == GGML_TYPE_F32 && ggml_is_contiguous(x)); }

void compute_linear(Tensor y, const NodeState &, Team & team) {
    const Tensor weight = y->src[0], x = y->src[1];
    const LinearArgs args{view_weight(weight, y->ne[0]), data_of(x), data_of(y->src[2]),
                          static_cast<float *>(y->data), ggml_nrows(y)};
    table()->linear(args, team);
}

void compute_conv2d(Tensor y, const NodeState & state, Team & team) {
    const Tensor weight = y->src[0], x = y->src[1];
    const ConvNode & p = state.conv;
    const ConvArgs args{view_weight(weight, y->ne[2]),
                        data_of(x),
                        data_of(y->src[2]),
                        static_cast<float *>(y->data),
                        x->ne[3],
                        x->ne[2],
                        x->ne[1],
                        x->ne[0],
                        y->ne[2],
                        y->ne[1],
                        y->ne[0],
                        p.kernel_w,
                        p.kernel_h,
                        p.stride,
                        p.pad_left,
                        p.pad_top,
                        p.upsample2 != 0};
    table()->conv2d(args, team);
}

void compute_attention(Tensor y, const NodeState & state, Team & team) {
    const Tensor q = y->src[0], k = y->src[1], v = y->src[2], mask = y->src[3];
    AttentionArgs args{};
    args.q = static_cast<const char *>(q->data);
    args.k = static_cast<const char *>(k->data);
    args.v = static_cast<const char *>(v->data);
    args.q_head = q->nb[1], args.q_row = q->nb[2], args.q_batch = q->nb[3];
    args.k_head = k->nb[1], args.k_row = k->nb[2], args.k_batch = k->nb[3];
    args.v_head = v->nb[1], args.v_row = v->nb[2], args.v_batch = v->nb[3];
    args.mask = data_of(mask);
    args.mask_row = mask ? mask->nb[1] / sizeof(float) : 0;
    args.y = static_cast<float *>(y->data);
    args.d = q->ne[0], args.heads = q->ne[1], args.q_length = q->ne[2], args.k_length = k->ne[2];
    args.batch = q->ne[3];
    args.scale = state.attention.scale;
    args.causal = state.attention.causal != 0;
    args.eight_bit = state.attention.eight_bit != 0;
    table()->attention(args, team);
}

void compute_group_norm(Tensor y, const NodeState & state, Team & team) {
    const GroupNormArgs args{data_of(y->src[0]),
                             data_of(y->src[1]),
                             data_of(y->src[2]),
                             data_of(y->src[3]),
                             static_cast<float *>(y->data),
                             y->ne[0] * y->ne[1],
                             y->ne[2],
                             y->ne[3],
                             state.norm.groups,
                             state.norm.eps,
                             state.norm.silu != 0};
    table()->group_norm(args, team);
}

void compute_group_statistics(Tensor y, const NodeState & state, Team & team) {
    const Tensor x = y->src[0];
    GroupNormArgs args{};
    args.x = data_of(x);
    args.y = static_cast<float *>(y->data);
    args.plane = x->ne[0] * x->ne[1], args.channels = x->ne[2], args.batch = x->ne[3];
    args.groups = state.norm.groups;
    args.eps = state.norm.eps;
    table()->group_statistics(args, team);
}

void compute_layer_norm(Tensor y, const NodeState & state, Team & team) {
    const LayerNormArgs args{
        data_of(y->src[0]), data_of(y->src[1]), data_of(y->src[2]), static_cast<float *>(y->data),
        y->ne[0],           ggml_nrows(y),      state.norm.eps};
    table()->layer_norm(args, team);
}

void compute_geglu(Tensor y, const NodeState &, Team & team) {
    const GegluArgs args{data_of(y->src[0]), static_cast<float *>(y->data), y->ne[0], ggml_nrows(y)};
    table()->geglu(args, team);
}

void compute_activate(Tensor y, const NodeState & state, Team & team) {
    const Tensor x = y->src[0], beside = y->src[1];
    const int64_t beside_width = beside ? beside->ne[0] : 0;
    const ActivateArgs args{data_of(x),
                            data_of(beside),
                            static_cast<float *>(y->data),
                            static_cast<int64_t>(x->nb[1] / sizeof(float)),
                            y->ne[0] - beside_width,
                            beside_width,
                            ggml_nrows(y),
                            state.activation.gated != 0};
    table()->activate(args, team);
}

}  // namespace

bool available() { return table() != nullptr; }

const char * name() { return table() ? table()->name : "none"; }

Tensor linear(ggml_context * graph, const Env & env, Tensor weight, Tensor x, Tensor bias) {
    const int64_t in = x->ne[0], out = ggml_nelements(weight) / in;
    GGML_ASSERT(in * out == ggml_nelements(weight));
    check_weight(weight, in);
    check_activation(x);
    check_vector(bias, out);
    return add_node<compute_linear>("linear", graph, env, out, x->ne[1], x->ne[2], x->ne[3],
                                    {weight, x, bias});
}

Tensor conv2d(ggml_context * graph, const Env & env, Tensor weight, Tensor x, Tensor bias,
              const ConvParams & params) {
    int64_t kernel_w = weight->ne[0], kernel_h = weight->ne[1], out = weight->ne[3];
    if (ggml_is_quantized(weight->type)) {
        GGML_ASSERT(weight->ne[0] == x->ne[2] && weight->ne[3] == 1);
        kernel_w = kernel_h = std::lround(std::sqrt(static_cast<double>(weight->ne[1])));
        out = weight->ne[2];
    }
    const int64_t columns = x->ne[2] * kernel_w * kernel_h;
    GGML_ASSERT(columns * out == ggml_nelements(weight));
    check_weight(weight, weight->ne[0]);
    check_activation(x);
    check_vector(bias, out);
    const int64_t scale = params.upsample2 ? 2 : 1;
    const int64_t width =
        (x->ne[0] * scale + params.pad_left + params.pad_right - kernel_w) / params.stride + 1;
    const int64_t height =
        (x->ne[1] * scale + params.pad_top + params.pad_bottom - kernel_h) / params.stride + 1;
    NodeState state{};
    state.conv = {static_cast<uint8_t>(params.stride),  static_cast<uint8_t>(params.pad_left),
                  static_cast<uint8_t>(params.pad_top), params.upsample2,
                  static_cast<uint8_t>(kernel_w),       static_cast<uint8_t>(kernel_h)};
    return add_node<compute_conv2d>("conv2d", graph, env, width, height, out, x->ne[3], {weight, x, bias},
                                    state);
}

Tensor attention(ggml_context * graph, const Env & env, Tensor q, Tensor k, Tensor v, Tensor mask,
                 float scale, bool causal, bool eight_bit) {
    for (Tensor t : {q, k, v}) {
        GGML_ASSERT(t->type == GGML_TYPE_F32 && t->nb[0] == sizeof(float) && t->ne[0] == q->ne[0] &&
                    t->ne[1] == q->ne[1] && t->ne[3] == q->ne[3]);
    }
    GGML_ASSERT(k->ne[2] == v->ne[2]);
    GGML_ASSERT(!mask || (mask->type == GGML_TYPE_F32 && mask->nb[0] == sizeof(float) &&
                          mask->ne[0] == k->ne[2] && mask->ne[1] >= q->ne[2]));
    NodeState state{};
    state.attention = {scale, causal, eight_bit};
    return add_node<compute_attention>("attention", graph, env, q->ne[0], q->ne[1], q->ne[2], q->ne[3],
                                       {q, k, v, mask}, state);
}

Tensor group_norm(ggml_context * graph, const Env & env, Tensor x, Tensor weight, Tensor bias,
                  const GroupNormParams & params) {
    check_activation(x);
    check_vector(weight, x->ne[2]);
    check_vector(bias, x->ne[2]);
    check_vector(params.statistics, 2 * params.groups * x->ne[3]);
    GGML_ASSERT(x->ne[2] % params.groups == 0);
    NodeState state{};
    state.norm = {params.eps, params.groups, params.silu};
    if (params.in_place) {
        return add_node_in_place<compute_group_norm>("group_norm", graph, env, x,
                                                     {weight, bias, params.statistics}, state);
    }
    return add_node<compute_group_norm>("group_norm", graph, env, x->ne[0], x->ne[1], x->ne[2], x->ne[3],
                                        {x, weight, bias, params.statistics}, state);
}

Tensor group_statistics(ggml_context * graph, const Env & env, Tensor x, int groups, float eps) {
    check_activation(x);
    GGML_ASSERT(x->ne[2] % groups == 0);
    NodeState state{};
    state.norm = {eps, groups, 0};
    return add_node<compute_group_statistics>("group_statistics", graph, env, 2, groups, x->ne[3], 1, {x},
                                              state);
}

Tensor layer_norm(ggml_context * graph, const Env & env, Tensor x, Tensor weight, Tensor bias, float eps) {
    check_activation(x);
    check_vector(weight, x->ne[0]);
    check_vector(bias, x->ne[0]);
    NodeState state{};
    state.norm = {eps, 1, 0};
    return add_node<compute_layer_norm>("layer_norm", graph, env, x->ne[0], x->ne[1], x->ne[2], x->ne[3],
                                        {x, weight, bias}, state);
}

Tensor geglu(ggml_context * graph, const Env & env, Tensor x) {
    check_activation(x);
    GGML_ASSERT(x->ne[0] % 2 == 0);
    return add_node<compute_geglu>("geglu", graph, env, x->ne[0] / 2, x->ne[1], x->ne[2], x->ne[3], {x});
}

Tensor activate(ggml_context * graph, const Env & env, Activation kind, Tensor x, Tensor beside) {
    const bool gated = kind == Activation::Swiglu;
    GGML_ASSERT(x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float));
    for (int i = 2; i < GGML_MAX_DIMS; i++)
        GGML_ASSERT(x->ne[i] == 1 || x->nb[i] == x->nb[i - 1] * static_cast<size_t>(x->ne[i - 1]));
    GGML_ASSERT(!gated || x->ne[0] % 2 == 0);
    if (beside) {
        check_activation(beside);
        GGML_ASSERT(ggml_nrows(beside) == ggml_nrows(x));
    }
    NodeState state{};
    state.activation = {gated};
    const int64_t width = x->ne[0] / (gated ? 2 : 1) + (beside ? beside->ne[0] : 0);
    return add_node<compute_activate>(gated ? "swiglu" : "gelu_tanh", graph, env, width, x->ne[1], x->ne[2],
                                      x->ne[3], {x, beside}, state);
}

}  // namespace imageforge::kernels
