#include "isa/table.h"

IMAGEFORGE_KERNEL_TABLE(avx2_kernels, "avx2")
