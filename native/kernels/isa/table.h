// Included last by each instruction set's translation unit: all kernels, compiled for it, and their table.
// Everything but the table has internal linkage.
#pragma once
#include "../table.h"
// clang-format off
#include "math.h"
#include "pack.h"
#include "gemm.h"
#include "linear.h"
#include "conv.h"
#include "winograd.h"
#include "attention.h"
#include "norms.h"
// clang-format on

#define IMAGEFORGE_KERNEL_TABLE(identifier, label)                              \
    namespace imageforge::kernels {                                             \
    extern const KernelTable identifier;                                        \
    const KernelTable identifier = {label,      linear,     conv2d, attention,  \
                                    group_norm, layer_norm, geglu,  tile_peak}; \
    }
