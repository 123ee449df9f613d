// The differences that updates add to a weight, row by row: the whole of one is never in memory.
#pragma once
#include <functional>
#include <vector>

#include "core/weight_change.h"

namespace imageforge {

/// Writes what is added to row `row`, whose values are `weight`, into `delta`; both have the weight's
/// columns.
using RowDelta = std::function<void(int64_t row, const float * weight, float * delta)>;

/// Throws WEIGHTS_INVALID naming the factors where they don't fit to a weight of this shape.
RowDelta make_row_delta(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight);

/// R W for OFT and BOFT.
std::vector<float> rotate(const WeightChange & change, const ReadFactor & read, int threads,
                          const DenseTensor & weight);

/// Calls `work` with ranges of [0, count) on so many threads.
void in_parallel(int threads, int64_t count, const std::function<void(int64_t, int64_t)> & work);

[[noreturn]] void refuse_factor(const WeightChange & change, const std::string & part, const Factor & found,
                                const std::string & expected);

}  // namespace imageforge
