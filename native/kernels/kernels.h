// CPU kernels of our own, as ggml graph operations: packed, tiled, chosen at run time by what the processor
// has. Every function adds one node to the graph; networks reach them through native/nn, never directly.
// Shapes are in ggml order (fastest first). Activations are contiguous F32. Weights are F32, F16, BF16 or a
// ggml quantised type, as they lie in the mapped file; unpacked values never outlive one operation.
#pragma once
#include <ggml.h>

#include <atomic>

namespace imageforge::kernels {

using Tensor = ggml_tensor *;

/// Shared by a graph's kernels; must outlive every graph that uses it.
struct Env {
    const std::atomic<bool> * abort = nullptr;  // kernels return early (result undefined) once it is true
};

/// False where the processor lacks the instructions (AVX2 + FMA + F16C, or NEON). Callers then use ggml's
/// operations.
bool available();
/// "avx512-vnni", "avx512", "avx2-vnni", "avx2", "neon-dotprod", "neon", "none".
/// The environment's IMAGEFORGE_ISA asks for a lesser one ("avx2", "none"), for tests.
const char * name();

/// y[out, n, …] = weight[in, out] · x[in, n, …] + bias[out] (bias may be nullptr, F32).
Tensor linear(ggml_context * graph, const Env & env, Tensor weight, Tensor x, Tensor bias);

/// 2-D convolution, x [W, H, in, N], weight [kw, kh, in, out] or, quantised, [in, k·k, out] of a square
/// kernel (each tap's channels together); bias [out] or nullptr; zero padding on each side.
struct ConvParams {
    int stride = 1;
    int pad_left = 1, pad_right = 1, pad_top = 1, pad_bottom = 1;
    bool upsample2 = false;  // x is upsampled by 2 (nearest neighbour) while it is read
};
Tensor conv2d(ggml_context * graph, const Env & env, Tensor weight, Tensor x, Tensor bias,
              const ConvParams & params);

/// softmax(scale · q·kᵀ + mask) · v without the score matrix in memory (online softmax, blocked; any head
/// size). q [d, heads, Lq, N], k and v [d, heads, Lk, N] (as the projections give them, split into heads,
/// rows may be strided views), mask nullptr or F32 [Lk, Lq]; result [d, heads, Lq, N] contiguous. With
/// `eight_bit` scores are computed on 8 bits of queries and keys where the processor has fast products of
/// bytes.
Tensor attention(ggml_context * graph, const Env & env, Tensor q, Tensor k, Tensor v, Tensor mask,
                 float scale, bool causal, bool eight_bit = false);

/// Group norm over x [W, H, C, N] with weight and bias [C] (F32), then SiLU where asked.
struct GroupNormParams {
    int groups = 32;
    float eps = 1e-5f;
    bool silu = false;
    bool in_place = false;        // the result overwrites x, which nothing else may read
    Tensor statistics = nullptr;  // from group_statistics(), instead of x's own
};
Tensor group_norm(ggml_context * graph, const Env & env, Tensor x, Tensor weight, Tensor bias,
                  const GroupNormParams & params);
/// Mean and standard deviation (of variance + eps) of each group of x [W, H, C, N] -> [2, groups, N].
Tensor group_statistics(ggml_context * graph, const Env & env, Tensor x, int groups, float eps);
/// Layer norm over the fastest dimension with weight and bias [C]; either may be nullptr.
Tensor layer_norm(ggml_context * graph, const Env & env, Tensor x, Tensor weight, Tensor bias, float eps);
/// value · gelu(gate) with erf GELU; x [2·d, n] holds value, then gate; result [d, n].
Tensor geglu(ggml_context * graph, const Env & env, Tensor x);
/// An activation of the rows of x [w, …] (which may be evenly strided), after those of `beside` [b, …] where
/// it is given. GeluTanh: -> [b + w, …]. Swiglu: x holds gate, then value; silu(gate) · value -> [b + w / 2,
/// …].
enum class Activation { GeluTanh, Swiglu };
Tensor activate(ggml_context * graph, const Env & env, Activation kind, Tensor x, Tensor beside);

/// Bytes of working memory that the kernels hold, in use or kept for the next operation.
size_t scratch_bytes();
/// Frees what no running operation uses.
void release_scratch();

}  // namespace imageforge::kernels
