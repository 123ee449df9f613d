#include "isa/table.h"

IMAGEFORGE_KERNEL_TABLE(avx512_vnni_kernels, "avx512-vnni")
