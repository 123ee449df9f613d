// Checks a row of the tensor table against its file, and turns the file's bytes into the network's values.
#include "core/stored_tensor.h"

#include <ggml-backend.h>

#include <cmath>
#include <cstring>

#include "core/error.h"

namespace imageforge {

namespace {

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

/// The row's size in bytes; every product is checked before it is taken.
uint64_t checked_bytes(const TensorEntry & entry, const StorageType & storage) {
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
    const uint64_t row = entry.shape.empty() ? 1 : static_cast<uint64_t>(stored_shape(entry).front());
    if (row % storage.block_values != 0)
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of type %s has rows of %llu values, which are not whole blocks of %llu.",
             name, entry.type.c_str(), static_cast<unsigned long long>(row),
             static_cast<unsigned long long>(storage.block_values));
    uint64_t bytes;
    if (__builtin_mul_overflow(values / storage.block_values, storage.block_bytes, &bytes))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large: %s.", name,
             to_string(entry.shape).c_str());
    return bytes;
}

/// Multiplies `count` values of a floating-point type in place.
void apply_scale(ggml_type type, void * values, uint64_t count, float scale) {
    for (uint64_t i = 0; i < count; ++i) {
        switch (type) {
            case GGML_TYPE_F16: {
                ggml_fp16_t & value = static_cast<ggml_fp16_t *>(values)[i];
                value = ggml_fp32_to_fp16(ggml_fp16_to_fp32(value) * scale);
                break;
            }
            case GGML_TYPE_BF16: {
                ggml_bf16_t & value = static_cast<ggml_bf16_t *>(values)[i];
                value = ggml_fp32_to_bf16(ggml_bf16_to_fp32(value) * scale);
                break;
            }
            default:
                static_cast<float *>(values)[i] *= scale;
        }
    }
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

}  // namespace

StoredTensor::StoredTensor(const TensorEntry & entry, const MappedFile & file)
    : storage(storage_type(entry.type, entry.name)),
      composed(entry.first_row >= 0),
      taps_first(entry.taps_first) {
    const char * name = entry.name.c_str();
    const uint64_t bytes = checked_bytes(entry, storage);
    uint64_t end;
    if (__builtin_add_overflow(entry.offset, bytes, &end) || end > file.size())
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of %llu bytes at offset %llu lies outside of %s, which has %llu bytes. "
             "The file is damaged or was not downloaded completely.",
             name, static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(entry.offset),
             file.path().c_str(), static_cast<unsigned long long>(file.size()));
    if (entry.scale != 1 && (!std::isfinite(entry.scale) || storage.block_values > 1))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" of type %s has the scale %g.", name,
             entry.type.c_str(), static_cast<double>(entry.scale));
    if (entry.taps_first && storage.block_values == 1)
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\" of type %s is said to have its taps first; only quantised kernels have.",
             name, entry.type.c_str());
    shape = stored_shape(entry);
    pieces = {{&file, entry.offset, bytes, entry.scale}};
}

void StoredTensor::append(const StoredTensor & next, const TensorEntry & entry) {
    Shape expected = next.shape;
    if (!expected.empty() && !shape.empty()) expected.back() = shape.back();
    if (expected.empty() || expected != shape || entry.first_row != shape.back() ||
        next.storage.type != storage.type || next.storage.conversion != storage.conversion)
        fail(ErrorCode::WeightsInvalid,
             "Tensor \"%.200s\": the part %s of type %s at row %lld doesn't continue %s.", entry.name.c_str(),
             to_string(next.shape).c_str(), entry.type.c_str(), static_cast<long long>(entry.first_row),
             to_string(shape).c_str());
    if (__builtin_add_overflow(shape.back(), next.shape.back(), &shape.back()))
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" is too large.", entry.name.c_str());
    pieces.push_back(next.pieces.front());
}

bool StoredTensor::is_plain(const Piece & piece) const {
    return storage.conversion == Conversion::None && declared->type == storage.type && piece.scale == 1;
}

bool StoredTensor::usable_in_place() const {
    const Piece & first = pieces.front();
    return pieces.size() == 1 && is_plain(first) && first.offset % alignment_of(storage.type) == 0;
}

/// Some blocks of a piece as they are in memory, and as F32 where `type` is that (a bias in F16).
std::vector<uint8_t> StoredTensor::read(const Piece & piece, uint64_t first_block, uint64_t blocks,
                                        ggml_type type) const {
    const uint8_t * data = piece.data() + first_block * storage.block_bytes;
    const uint64_t count = blocks * storage.block_values;
    std::vector<uint8_t> values;
    if (storage.conversion == Conversion::None) {
        values.assign(data, data + blocks * storage.block_bytes);  // aligned now
        if (piece.scale != 1) apply_scale(storage.type, values.data(), count, piece.scale);
    } else {
        values.resize(count * ggml_type_size(storage.type));
        convert(storage.conversion, data, values.data(), count, piece.scale);
    }
    if (type == storage.type) return values;
    std::vector<uint8_t> floats(count * sizeof(float));
    ggml_get_type_traits(storage.type)
        ->to_float(values.data(), reinterpret_cast<float *>(floats.data()), static_cast<int64_t>(count));
    return floats;
}

void StoredTensor::upload() const {
    uint64_t done = 0;
    for (const Piece & piece : pieces) {
        if (is_plain(piece)) {
            ggml_backend_tensor_set(declared, piece.data(), done, piece.bytes);
            done += piece.bytes;
            continue;
        }
        const auto values = read(piece, 0, piece.bytes / storage.block_bytes, declared->type);
        ggml_backend_tensor_set(declared, values.data(), done, values.size());
        done += values.size();
    }
}

std::vector<float> StoredTensor::read_row(int64_t row) const {
    const uint64_t blocks = static_cast<uint64_t>(declared->ne[0]) / storage.block_values;
    uint64_t first = static_cast<uint64_t>(row) * blocks;
    for (const Piece & piece : pieces) {
        const uint64_t here = piece.bytes / storage.block_bytes;
        if (first < here) {
            const auto bytes = read(piece, first, blocks, GGML_TYPE_F32);
            std::vector<float> values(bytes.size() / sizeof(float));
            std::memcpy(values.data(), bytes.data(), bytes.size());
            return values;
        }
        first -= here;
    }
    fail(ErrorCode::Internal, "Row %lld of \"%s\" was asked for, which has the shape %s.",
         static_cast<long long>(row), ggml_get_name(declared), to_string(shape).c_str());
}

}  // namespace imageforge
