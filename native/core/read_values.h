// The values of a stored tensor, for programs that don't compute with it.
#pragma once
#include <cstdint>
#include <vector>

#include "core/weights.h"

namespace imageforge {

/// Rows [first, first + count) of the table's one tensor as F32, which may lie in parts. Throws
/// WEIGHTS_UNREADABLE, WEIGHTS_INVALID, or INVALID_ARGUMENT where there are no such rows.
std::vector<float> read_values(const WeightTable & table, uint64_t first, uint64_t count);

}  // namespace imageforge
