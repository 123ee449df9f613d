// How values lie in a file: ggml's own types, and those that are widened when they are loaded.
#pragma once
#include <ggml.h>

#include <cstdint>
#include <string>

namespace imageforge {

/// What the bytes of a type stand for.
enum class Encoding {
    Ggml,    // a type of ggml's, read by ggml
    F64,     //
    F8E4M3,  // OCP 8-bit floating point
    F8E5M2,
    Int8,      // signed bytes
    Int4,      // two signed values in a byte, the first in its lower half
    F4Lower,   // two E2M1 floats in a byte, the first in its lower half
    F4Upper,   // the same with the first in the upper half
    Integers,  // indices and marks: no weights
};

struct StorageType {
    Encoding encoding;
    ggml_type type;         // Encoding::Ggml: which
    ggml_type memory;       // what it becomes in memory
    uint64_t block_values;  // in the file
    uint64_t block_bytes;

    bool is_weight() const { return encoding != Encoding::Integers; }
    bool is_quantised() const { return block_values > 1; }
};

/// Throws WEIGHTS_INVALID, naming the tensor, when `name` is no type that is known here.
const StorageType & storage_type(const std::string & name, const std::string & tensor);

/// Decodes `count` values to F32, from value `first` on of what `data` holds (any alignment).
void decode(const StorageType & storage, const uint8_t * data, uint64_t first, uint64_t count, float * into);

/// From F32 to a floating-point type in memory.
void encode(ggml_type type, const float * values, uint64_t count, void * into);

}  // namespace imageforge
