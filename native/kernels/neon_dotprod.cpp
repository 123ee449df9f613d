#define IMAGEFORGE_INT8
#include "isa/simd_neon.h"
// clang-format off
#include "isa/int8_dotprod.h"
#include "isa/table.h"
// clang-format on

IMAGEFORGE_KERNEL_TABLE(neon_dotprod_kernels, "neon-dotprod")
