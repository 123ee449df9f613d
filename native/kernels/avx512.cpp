#include "isa/simd_avx512.h"
// clang-format off
#include "isa/table.h"
// clang-format on

IMAGEFORGE_KERNEL_TABLE(avx512_kernels, "avx512")
