// Factors that lie beside a matrix: one for every block of it, or for every row.
#pragma once
#include <array>
#include <cstdint>

#include "core/mapped_file.h"
#include "core/storage_type.h"
#include "core/weights.h"

namespace imageforge {

class ScaleTable {
public:
    /// Checks the table against its file, and that it covers `rows` x `columns` values.
    /// Throws WEIGHTS_INVALID, naming the tensor.
    ScaleTable(const ScaleEntry & entry, const MappedFile & file, uint64_t rows, uint64_t columns,
               const std::string & tensor);

    /// Multiplies values [first, first + count) of a row.
    void apply(uint64_t row, uint64_t first, uint64_t count, float * values) const;

private:
    float at(uint64_t row, uint64_t column) const;

    const uint8_t * data_;
    StorageType storage_;
    std::array<float, 256> codes_;  // what bytes stand for, where a scale is one
    ScaleEntry entry_;
};

/// Undoes the rotation of ConvRot: every `group` values are multiplied by the regular Hadamard matrix of that
/// size, a power of 4, which is its own inverse.
void rotate_back(float * values, uint64_t count, uint64_t group);

}  // namespace imageforge
