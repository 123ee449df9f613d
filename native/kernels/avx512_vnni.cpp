#define IMAGEFORGE_INT8
#include "isa/simd_avx512.h"
// clang-format off
#include "isa/int8_vnni512.h"
#include "isa/table.h"
// clang-format on

IMAGEFORGE_KERNEL_TABLE(avx512_vnni_kernels, "avx512-vnni")
