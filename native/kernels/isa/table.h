// All kernels, compiled for one instruction set, and their table. Each instruction set's translation unit
// includes this file alone. Everything but the table has internal linkage.
#pragma once
#include "attention.h"
#include "conv.h"
#include "linear.h"
#include "norms.h"
#include "winograd.h"
#ifdef IMAGEFORGE_INT8
#include "conv_int8.h"
#include "int8.h"
#endif

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

void conv2d(const ConvArgs & args, Team & team) {
#ifdef IMAGEFORGE_INT8
    // A quarter of the multiplications in F32 beats all of them in 8 bits, as long as tiles fill vectors.
    const int64_t tiles = parts(args.out_width, 4) * parts(args.out_height, 4);
    if (args.weight.block > 1 && (tiles < L || !suits_winograd(args))) return conv2d_int8(args, team);
#endif
    if (suits_winograd(args)) {
        conv2d_winograd(args, team);
    } else {
        conv2d_direct(args, team);
    }
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
