// The vectors of one instruction set, on which all kernels are written. CMakeLists.txt says which one it is,
// and not the compiler's own macros: those follow from the user's flags too.
#pragma once

#if defined(IMAGEFORGE_AVX512)
#include "simd_avx512.h"
#elif defined(IMAGEFORGE_AVX2)
#include "simd_avx2.h"
#elif defined(IMAGEFORGE_NEON)
#include "simd_neon.h"
#else
#error "No instruction set was named."
#endif
