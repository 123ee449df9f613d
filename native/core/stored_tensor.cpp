// Checks a row of the tensor table against its file, and turns the file's bytes into the network's values.
#include "core/stored_tensor.h"

#include <ggml-backend.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/parallel.h"

namespace imageforge {

namespace {

/// Values that a thread widens at a time.
constexpr uint64_t chunk_values = 1 << 18;
constexpr float largest_half = 65504;

/// The shape as it lies in the file.
Shape stored_shape(const TensorEntry & entry) {
    if (!entry.taps_first) return entry.shape;
    int64_t taps;
    if (entry.shape.size() != 4 || __builtin_mul_overflow(entry.shape[0], entry.shape[1], &taps))
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" with the shape %s can't be a convolution's kernel.", entry.name.c_str(),
             to_string(entry.shape).c_str());
    return {entry.shape[2], taps, entry.shape[3]};
}

uint64_t checked_values(const TensorEntry & entry) {
    const char * name = entry.name.c_str();
    if (entry.shape.size() > GGML_MAX_DIMS)
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has %zu dimensions, at most %d are possible.",
             name, entry.shape.size(), GGML_MAX_DIMS);
    uint64_t values = 1;
    for (const int64_t n : entry.shape) {
        if (n <= 0)
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has a dimension of %lld in %s.", name,
                 static_cast<long long>(n), to_string(entry.shape).c_str());
        if (__builtin_mul_overflow(values, static_cast<uint64_t>(n), &values) || values > INT64_MAX / 16)
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large: %s.", name,
                 to_string(entry.shape).c_str());
    }
    return values;
}

/// The size in bytes; every product is checked before it is taken.
uint64_t checked_bytes(const TensorEntry & entry, const StorageType & storage) {
    const char * name = entry.name.c_str();
    const uint64_t values = checked_values(entry);
    const uint64_t row = entry.shape.empty() ? 1 : static_cast<uint64_t>(stored_shape(entry).front());
    uint64_t blocks = values / storage.block_values;
    if (entry.flat) {
        if (entry.skip >= storage.block_values)
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" skips %llu values of a block of %llu.", name,
                 static_cast<unsigned long long>(entry.skip),
                 static_cast<unsigned long long>(storage.block_values));
        blocks = (entry.skip + values + storage.block_values - 1) / storage.block_values;
    } else if (row % storage.block_values != 0) {
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of type %s has rows of %llu values, which are not whole blocks of %llu.",
             name, entry.type.c_str(), static_cast<unsigned long long>(row),
             static_cast<unsigned long long>(storage.block_values));
    }
    uint64_t bytes;
    if (__builtin_mul_overflow(blocks, storage.block_bytes, &bytes))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large: %s.", name,
             to_string(entry.shape).c_str());
    return bytes;
}

bool is_power_of_4(uint64_t n) { return n > 0 && (n & (n - 1)) == 0 && (n & 0x5555555555555555) != 0; }

/// How the values of an entry are to be read must make sense for its type.
void check_form(const TensorEntry & entry, const StorageType & storage, uint64_t columns) {
    const char * name = entry.name.c_str();
    const bool scaled = entry.scale != 1 || entry.scales || entry.rotation > 0;
    if (!std::isfinite(entry.scale) || (scaled && !storage.is_weight()))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" of type %s has the scale %g.", name,
             entry.type.c_str(), static_cast<double>(entry.scale));
    if (entry.rotation > 0 && (!is_power_of_4(entry.rotation) || columns % entry.rotation != 0))
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" with rows of %llu values is said to be rotated in groups of %llu; whole "
             "groups "
             "of a power of 4 were expected.",
             name, static_cast<unsigned long long>(columns), static_cast<unsigned long long>(entry.rotation));
    if (entry.taps_first &&
        (!storage.is_quantised() || storage.encoding != Encoding::Ggml || entry.flat || scaled))
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of type %s is said to have its taps first; only quantised kernels have.",
             name, entry.type.c_str());
}

/// What a processor needs to read the type where it lies.
uint64_t alignment_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F16:
        case GGML_TYPE_BF16:
            return 2;
        default:
            return 4;  // F32, and the scales inside of quantised blocks
    }
}

/// What the values of a piece are in memory: quantised blocks stay only where they can be used as they are.
ggml_type memory_type(const Piece & piece) {
    if (piece.storage.is_quantised() && !piece.is_plain()) return GGML_TYPE_F16;
    return piece.storage.memory;
}

/// An infinite weight makes a black picture, and nothing says why.
void check_range(const float * values, uint64_t count, ggml_type type, const char * name) {
    if (type != GGML_TYPE_F16) return;
    // Sizes compare as the integers that they are stored as, of which a compiler takes several at a time.
    int32_t most = 0, limit;
    for (uint64_t i = 0; i < count; ++i) {
        int32_t bits;
        std::memcpy(&bits, &values[i], 4);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    std::memcpy(&limit, &largest_half, 4);
    if (most <= limit) return;
    for (uint64_t i = 0; i < count; ++i)
        if (std::fabs(values[i]) > largest_half)
            fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has the value %g; at most %g is possible.",
                 name, static_cast<double>(values[i]), static_cast<double>(largest_half));
}

}  // namespace

// ---- pieces

void Piece::read(uint64_t first, uint64_t count, float * into) const {
    decode(storage, data(), skip + first * columns, count * columns, into);
    if (scales)
        for (uint64_t i = 0; i < count; ++i) scales->apply(first + i, 0, columns, into + i * columns);
    if (scale != 1)
        for (uint64_t i = 0; i < count * columns; ++i) into[i] *= scale;
    if (rotation > 0) rotate_back(into, count * columns, rotation);
}

std::vector<ggml_fp16_t> Piece::tabulate() const {
    if (storage.encoding == Encoding::Ggml || storage.block_bytes != 1 || storage.is_quantised() || scales ||
        rotation > 0)
        return {};
    uint8_t codes[256];
    float values[256];
    for (int i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
    decode(storage, codes, 0, 256, values);
    for (float & value : values) {
        value *= scale;
        if (std::fabs(value) > largest_half) return {};  // checked one by one
    }
    std::vector<ggml_fp16_t> table(256);
    encode(GGML_TYPE_F16, values, 256, table.data());
    return table;
}

StoredTensor::StoredTensor(const TensorEntry & entry, const MappedFile & file, const MappedFile * scales)
    : type(entry.type), composed(entry.first_row >= 0), taps_first(entry.taps_first) {
    const StorageType & storage = storage_type(entry.type, entry.name);
    const uint64_t bytes = checked_bytes(entry, storage);
    uint64_t end;
    if (__builtin_add_overflow(entry.offset, bytes, &end) || end > file.size())
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of %llu bytes at offset %llu lies outside of %s, which has %llu bytes. "
             "The file is damaged or was not downloaded completely.",
             entry.name.c_str(), static_cast<unsigned long long>(bytes),
             static_cast<unsigned long long>(entry.offset), file.path().c_str(),
             static_cast<unsigned long long>(file.size()));
    shape = stored_shape(entry);
    const uint64_t values = checked_values(entry);
    const uint64_t rows = shape.size() < 2 ? 1 : static_cast<uint64_t>(shape.back());
    Piece piece = {&file,      entry.offset, bytes,       storage, rows,          values / rows,
                   entry.skip, entry.flat,   entry.scale, {},      entry.rotation};
    check_form(entry, storage, piece.columns);
    if (entry.scales) piece.scales.emplace(*entry.scales, *scales, rows, piece.columns, entry.name);
    weights = storage.is_weight();
    memory = memory_type(piece);
    pieces.push_back(std::move(piece));
}

void StoredTensor::append(const StoredTensor & next, const TensorEntry & entry) {
    Shape expected = next.shape;
    if (!expected.empty() && !shape.empty()) expected.back() = shape.back();
    if (expected.empty() || expected != shape || entry.first_row != shape.back() || next.weights != weights ||
        next.taps_first != taps_first || (taps_first && next.memory != memory))
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\": the part %s of type %s at row %lld doesn't continue %s.", entry.name.c_str(),
             to_string(next.shape).c_str(), entry.type.c_str(), static_cast<long long>(entry.first_row),
             to_string(shape).c_str());
    if (__builtin_add_overflow(shape.back(), next.shape.back(), &shape.back()))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large.", entry.name.c_str());
    if (next.memory != memory)
        memory = memory == GGML_TYPE_F32 || next.memory == GGML_TYPE_F32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
    pieces.push_back(next.pieces.front());
}

bool StoredTensor::usable_in_place() const {
    const Piece & first = pieces.front();
    return pieces.size() == 1 && copies(first) && first.offset % alignment_of(first.storage.type) == 0;
}

uint64_t StoredTensor::rows() const {
    uint64_t rows = 0;
    for (const Piece & piece : pieces) rows += piece.rows;
    return rows;
}

// ---- values

void StoredTensor::upload(int threads) const {
    uint64_t done = 0;
    for (const Piece & piece : pieces) {
        if (copies(piece)) {
            ggml_backend_tensor_set(declared, piece.data(), done, piece.bytes);
            done += piece.bytes;
            continue;
        }
        widen(piece, done, threads);
        done += ggml_type_size(declared->type) * piece.rows * piece.columns;
    }
}

/// Widens a piece to where it belongs, `done` bytes into the declared tensor.
void StoredTensor::widen(const Piece & piece, uint64_t done, int threads) const {
    const ggml_type type = declared->type;
    const uint64_t row_bytes = ggml_type_size(type) * piece.columns;
    const uint64_t step = std::max<uint64_t>(1, chunk_values / piece.columns);
    const bool host = ggml_backend_buffer_is_host(declared->buffer);
    const auto table = type == GGML_TYPE_F16 ? piece.tabulate() : std::vector<ggml_fp16_t>();
    const auto convert = [&](uint64_t first, uint64_t count, uint8_t * into) {
        if (!table.empty()) {
            const uint8_t * from = piece.data() + first * piece.columns;
            auto * halves = reinterpret_cast<ggml_fp16_t *>(into);
            for (uint64_t i = 0; i < count * piece.columns; ++i) halves[i] = table[from[i]];
            return;
        }
        std::vector<float> values(count * piece.columns);
        piece.read(first, count, values.data());
        check_range(values.data(), values.size(), type, ggml_get_name(declared));
        encode(type, values.data(), values.size(), into);
    };
    std::mutex device;
    for_each_in_parallel((piece.rows + step - 1) / step, threads, [&](uint64_t i) {
        const uint64_t first = i * step, count = std::min(step, piece.rows - first);
        const uint64_t place = done + first * row_bytes;
        if (host) return convert(first, count, static_cast<uint8_t *>(declared->data) + place);
        std::vector<uint8_t> bytes(count * row_bytes);
        convert(first, count, bytes.data());
        const std::lock_guard<std::mutex> lock(device);
        ggml_backend_tensor_set(declared, bytes.data(), place, bytes.size());
    });
}

std::vector<float> StoredTensor::read_all(int threads) const {
    std::vector<float> values = read_rows(0, rows(), threads);
    if (!taps_first) return values;
    const auto inputs = static_cast<size_t>(shape[0]), taps = static_cast<size_t>(shape[1]);
    std::vector<float> ordered(values.size());
    for (size_t row = 0; row < values.size(); row += inputs * taps)
        for (size_t t = 0; t < taps; ++t)
            for (size_t i = 0; i < inputs; ++i) ordered[row + i * taps + t] = values[row + t * inputs + i];
    return ordered;
}

std::vector<float> StoredTensor::read_row(uint64_t row) const { return read_rows(row, 1, 1); }

std::vector<float> StoredTensor::read_rows(uint64_t first, uint64_t count, int threads) const {
    const uint64_t columns = pieces.front().columns;
    if (count > rows() || first > rows() - count)
        fail(ErrorCode::Internal, "%llu rows from row %llu on were asked for of a tensor of the shape %s.",
             static_cast<unsigned long long>(count), static_cast<unsigned long long>(first),
             to_string(shape).c_str());
    std::vector<float> values(count * columns);
    float * into = values.data();
    for (const Piece & piece : pieces) {
        if (count == 0) break;
        if (first >= piece.rows) {
            first -= piece.rows;
            continue;
        }
        const uint64_t here = std::min(count, piece.rows - first);
        const uint64_t step = std::max<uint64_t>(1, chunk_values / columns);
        for_each_in_parallel((here + step - 1) / step, threads, [&](uint64_t i) {
            piece.read(first + i * step, std::min(step, here - i * step), into + i * step * columns);
        });
        into += here * columns;
        count -= here;
        first = 0;
    }
    return values;
}

}  // namespace imageforge
