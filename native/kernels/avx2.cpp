#include "isa/simd_avx2.h"
// clang-format off
#include "isa/table.h"
// clang-format on

IMAGEFORGE_KERNEL_TABLE(avx2_kernels, "avx2")
