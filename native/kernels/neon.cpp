#include "isa/simd_neon.h"
// clang-format off
#include "isa/table.h"
// clang-format on

IMAGEFORGE_KERNEL_TABLE(neon_kernels, "neon")
