#include "core/scale_table.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace imageforge {

namespace {

/// The tiles that tensor cores read block scales in: 128 rows of 4 columns, in them 4 rows of 32 side by
/// side.
constexpr uint64_t tile_rows = 128, tile_columns = 4, tile_part = 32;

uint64_t place_in_tiles(uint64_t row, uint64_t column, uint64_t columns) {
    const uint64_t tile = row / tile_rows * (columns / tile_columns) + column / tile_columns;
    const uint64_t inside = row % tile_rows;
    return tile * tile_rows * tile_columns + inside % tile_part * (tile_rows / tile_part * tile_columns) +
           inside / tile_part * tile_columns + column % tile_columns;
}

/// E8M0.
constexpr StorageType powers_of_two = {Encoding::Integers, GGML_TYPE_I8, GGML_TYPE_F32, 1, 1};

uint64_t divide_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

}  // namespace

ScaleTable::ScaleTable(const ScaleEntry & entry, const MappedFile & file, uint64_t rows, uint64_t columns,
                       const std::string & tensor)
    : data_(file.data() + entry.offset), entry_(entry) {
    const char * name = tensor.c_str();
    const bool exponents = entry.type == "f8_e8m0";
    storage_ = exponents ? powers_of_two : storage_type(entry.type, tensor);
    if (!exponents && (!storage_.is_weight() || storage_.is_quantised()))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has scales of the type \"%.40s\".", name,
             entry.type.c_str());
    uint64_t count, bytes, end, last;
    const bool fits = entry.block_rows > 0 && entry.block_columns > 0 &&
                      !__builtin_add_overflow(entry.first_row, rows, &last) &&
                      entry.rows >= divide_up(last, entry.block_rows) &&
                      entry.columns >= divide_up(columns, entry.block_columns) &&
                      (!entry.tiled || (entry.rows % tile_rows == 0 && entry.columns % tile_columns == 0));
    if (!fits)
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of %llu rows of %llu values has a table of %llu x %llu scales, each for %llu "
             "x "
             "%llu of them.",
             name, static_cast<unsigned long long>(rows), static_cast<unsigned long long>(columns),
             static_cast<unsigned long long>(entry.rows), static_cast<unsigned long long>(entry.columns),
             static_cast<unsigned long long>(entry.block_rows),
             static_cast<unsigned long long>(entry.block_columns));
    if (__builtin_mul_overflow(entry.rows, entry.columns, &count) ||
        __builtin_mul_overflow(count, storage_.block_bytes, &bytes) ||
        __builtin_add_overflow(entry.offset, bytes, &end) || end > file.size())
        fail(
            ErrorCode::WeightsInvalid,
            "The scales of tensor \"%.200s\" lie outside of %s, which has %llu bytes. The file is damaged or "
            "was not downloaded completely.",
            name, file.path().c_str(), static_cast<unsigned long long>(file.size()));
    for (size_t code = 0; code < codes_.size() && storage_.block_bytes == 1; ++code) {
        const auto byte = static_cast<uint8_t>(code);
        if (exponents)  // 255 is NaN; all others are exact, the smallest one included
            codes_[code] = byte == 255 ? NAN : std::ldexp(1.0f, byte - 127);
        else
            decode(storage_, &byte, 0, 1, &codes_[code]);
    }
}

float ScaleTable::at(uint64_t row, uint64_t column) const {
    const uint64_t place =
        entry_.tiled ? place_in_tiles(row, column, entry_.columns) : row * entry_.columns + column;
    if (storage_.block_bytes == 1) return codes_[data_[place]];
    float value;
    decode(storage_, data_, place, 1, &value);
    return value;
}

void ScaleTable::apply(uint64_t row, uint64_t first, uint64_t count, float * values) const {
    const uint64_t table_row = (entry_.first_row + row) / entry_.block_rows;
    for (uint64_t done = 0; done < count;) {
        const uint64_t column = (first + done) / entry_.block_columns;
        const uint64_t end = std::min(count, (column + 1) * entry_.block_columns - first);
        const float factor = at(table_row, column);
        for (; done < end; ++done) values[done] *= factor;
    }
}

void rotate_back(float * values, uint64_t count, uint64_t group) {
    const float norm = 1.0f / std::sqrt(static_cast<float>(group));
    for (uint64_t start = 0; start < count; start += group) {
        float * x = values + start;
        // The matrix is a Kronecker power of a 4 x 4 one whose row i is 1 everywhere but for -1 at 3 - i.
        for (uint64_t step = 1; step < group; step *= 4)
            for (uint64_t base = 0; base < group; base += 4 * step)
                for (uint64_t i = base; i < base + step; ++i) {
                    const float a = x[i], b = x[i + step], c = x[i + 2 * step], d = x[i + 3 * step];
                    const float sum = a + b + c + d;
                    x[i] = sum - 2 * d;
                    x[i + step] = sum - 2 * c;
                    x[i + 2 * step] = sum - 2 * b;
                    x[i + 3 * step] = sum - 2 * a;
                }
        for (uint64_t i = 0; i < group; ++i) x[i] *= norm;
    }
}

}  // namespace imageforge
