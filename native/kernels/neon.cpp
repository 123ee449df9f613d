#include "isa/table.h"

IMAGEFORGE_KERNEL_TABLE(neon_kernels, "neon")
