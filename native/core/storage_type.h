// How a tensor's values lie in a file: ggml's own types, and those that are converted when they are loaded.
#pragma once
#include <ggml.h>

#include <cstdint>
#include <string>

namespace imageforge {

enum class Conversion { None, F8E4M3, F8E5M2, F64 };

struct StorageType {
    ggml_type type;  // in memory: f8 becomes F16, f64 becomes F32
    Conversion conversion;
    uint64_t block_values;  // in the file
    uint64_t block_bytes;
    bool weights;  // false: integers, which no layer takes
};

/// Throws WEIGHTS_INVALID, naming the tensor, when `name` is no type that is known here.
StorageType storage_type(const std::string & name, const std::string & tensor);

/// Converts `count` values from the file's bytes (any alignment) to the memory type, multiplied by `scale`.
void convert(Conversion conversion, const uint8_t * from, void * into, uint64_t count, float scale);

}  // namespace imageforge
