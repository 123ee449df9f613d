// Included last by each instruction set's translation unit: all kernels, compiled for it, and their table.
// Everything but the table has internal linkage.
#pragma once
#include "../table.h"
// clang-format off
#include "math.h"
#include "pack.h"
#include "gemm.h"
#include "linear.h"
#ifdef IMAGEFORGE_INT8
#include "int8.h"
#endif
#include "conv.h"
#ifdef IMAGEFORGE_INT8
#include "conv_int8.h"
#endif
#include "winograd.h"
#ifdef IMAGEFORGE_INT8
#include "scores_int8.h"
#endif
#include "attention.h"
#include "norms.h"
// clang-format on

namespace imageforge::kernels {
namespace {

void linear(const LinearArgs & args, Team & team) {
    if (args.tokens <= few_tokens) return linear_few_tokens(args, team);
#ifdef IMAGEFORGE_INT8
    const Storage storage = args.weight.storage;
    if (storage == Storage::Q8_0 || storage == Storage::Q4_0 || storage == Storage::Quantised) {
        return linear_int8(args, team);
    }
#endif
    linear_f32(args, team);
}

#ifndef IMAGEFORGE_INT8
constexpr double (*tile_peak_int8)(int64_t) = nullptr;
#endif

}  // namespace
}  // namespace imageforge::kernels

#define IMAGEFORGE_KERNEL_TABLE(identifier, label)                                \
    namespace imageforge::kernels {                                               \
    extern const KernelTable identifier;                                          \
    const KernelTable identifier = {                                              \
        label,      linear, conv2d,   attention, group_norm,    group_statistics, \
        layer_norm, geglu,  activate, tile_peak, tile_peak_int8};                 \
    }
