#include "isa/table.h"

IMAGEFORGE_KERNEL_TABLE(avx2_vnni_kernels, "avx2-vnni")
