#include "isa/table.h"

IMAGEFORGE_KERNEL_TABLE(avx512_kernels, "avx512")
