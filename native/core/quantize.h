// Quantises tensors as ggml's own tools do.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace imageforge {

/// Quantises whole rows of `columns` values. Throws INVALID_ARGUMENT, or UNSUPPORTED with the possible types.
std::vector<uint8_t> quantize(const std::string & type, const float * values, uint64_t count,
                              uint64_t columns);

}  // namespace imageforge
