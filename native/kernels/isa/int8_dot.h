// Dot products of bytes, where the instruction set has them (IMAGEFORGE_INT8).
#pragma once

#if !defined(IMAGEFORGE_INT8)
#error "This instruction set has no dot products of bytes."
#elif defined(IMAGEFORGE_AVX512)
#include "int8_vnni512.h"
#elif defined(IMAGEFORGE_AVX2)
#include "int8_vnni256.h"
#elif defined(IMAGEFORGE_NEON)
#include "int8_dotprod.h"
#else
#error "No instruction set was named."
#endif
