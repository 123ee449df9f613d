#include "isa/table.h"

IMAGEFORGE_KERNEL_TABLE(neon_dotprod_kernels, "neon-dotprod")
