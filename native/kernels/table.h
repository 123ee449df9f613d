// What the graph operations (operations.cpp) hand to the kernels of one instruction set: plain pointers and
// sizes. Each instruction set has its own translation unit and one table; nothing else crosses that border,
// so that no inline function compiled for a newer processor can be picked by the linker for an older one.
#pragma once
#include <cstddef>
#include <cstdint>

#include "scratch.h"
#include "team.h"

namespace imageforge::kernels {

enum class Storage { F32, F16, BF16, Q8_0, Q4_0, Quantised };

/// A weight matrix as it lies in the file: `rows` rows of `columns` values, `row_bytes` apart.
struct WeightView {
    const char * data;
    Storage storage;
    int64_t rows, columns;
    size_t row_bytes;
    int block;           // values per quantisation block (1 when not quantised)
    size_t block_bytes;  // bytes per block, or per value
    void (*to_float)(const void *, float *, int64_t n);  // whole blocks; for Storage::Q* only
};

struct LinearArgs {
    WeightView weight;   // [out, in]
    const float * x;     // [tokens, in]
    const float * bias;  // [out] or nullptr
    float * y;           // [tokens, out]
    int64_t tokens;
};

struct ConvArgs {
    WeightView weight;                 // [out, in·kh·kw], quantised [out, kh·kw·in]
    const float * x;                   // [batch, in, height, width]
    const float * bias;                // [out] or nullptr
    float * y;                         // [batch, out, out_height, out_width]
    int64_t batch, in, height, width;  // height and width as stored, before upsampling
    int64_t out, out_height, out_width;
    int kernel_w, kernel_h, stride, pad_left, pad_top;
    bool upsample2;
};

struct AttentionArgs {
    const char *q, *k, *v;  // [batch][length][heads][d], strides in bytes, d contiguous
    size_t q_head, q_row, q_batch, k_head, k_row, k_batch, v_head, v_row, v_batch;
    const float * mask;  // [q_length, k_length] or nullptr
    size_t mask_row;     // in values
    float * y;           // [batch, q_length, heads, d]
    int64_t d, heads, q_length, k_length, batch;
    float scale;
    bool causal;
    bool eight_bit;  // scores may be computed on 8 bits of queries and keys
};

struct GroupNormArgs {
    const float *x, *weight, *bias;  // x [batch, channels, plane]; weight and bias [channels]
    const float * statistics;        // [batch, groups, 2]: mean, standard deviation; nullptr: x's own
    float * y;                       // may be x; of group_statistics: [batch, groups, 2]
    int64_t plane, channels, batch;
    int groups;
    float eps;
    bool silu;
};

struct LayerNormArgs {
    const float *x, *weight, *bias;  // x [rows, width]; weight and bias [width] or nullptr
    float * y;
    int64_t width, rows;
    float eps;
};

struct GegluArgs {
    const float * x;  // [rows, 2·width]: value, then gate
    float * y;        // [rows, width]
    int64_t width, rows;
};

struct ActivateArgs {
    const float * x;       // [rows, width or, gated, 2·width], row_stride values apart
    const float * beside;  // [rows, beside_width], copied before the activated values
    float * y;             // [rows, beside_width + width]
    int64_t row_stride, width, beside_width, rows;
    bool gated;  // silu(first half) · second half, else tanh GELU
};

struct KernelTable {
    const char * name;
    void (*linear)(const LinearArgs &, Team &);
    void (*conv2d)(const ConvArgs &, Team &);
    void (*attention)(const AttentionArgs &, Team &);
    void (*group_norm)(const GroupNormArgs &, Team &);
    void (*group_statistics)(const GroupNormArgs &, Team &);
    void (*layer_norm)(const LayerNormArgs &, Team &);
    void (*geglu)(const GegluArgs &, Team &);
    void (*activate)(const ActivateArgs &, Team &);
    /// Runs the register tile on panels in L1 and returns the floating-point operations done, for benchmarks.
    double (*tile_peak)(int64_t repeats);
    double (*tile_peak_int8)(int64_t repeats);  // nullptr without 8-bit dot products
};

extern const KernelTable avx2_kernels, avx2_vnni_kernels, avx512_kernels, avx512_vnni_kernels;
extern const KernelTable neon_kernels, neon_dotprod_kernels;

}  // namespace imageforge::kernels
