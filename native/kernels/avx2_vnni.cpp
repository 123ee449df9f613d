#define IMAGEFORGE_INT8
#include "isa/simd_avx2.h"
// clang-format off
#include "isa/int8_vnni256.h"
#include "isa/table.h"
// clang-format on

IMAGEFORGE_KERNEL_TABLE(avx2_vnni_kernels, "avx2-vnni")
