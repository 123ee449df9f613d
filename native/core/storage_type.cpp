// Names of storage types, and how each one is read.
#include "core/storage_type.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "core/error.h"

namespace imageforge {

namespace {

bool computes(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 ||
           (ggml_is_quantized(type) && ggml_get_type_traits(type)->to_float != nullptr);
}

std::unordered_map<std::string, StorageType> list_types() {
    std::unordered_map<std::string, StorageType> types;
    for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
        const auto type = static_cast<ggml_type>(i);
        if (ggml_blck_size(type) <= 0 || ggml_type_size(type) == 0) continue;  // removed from ggml
        std::string name = ggml_type_name(type);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        types[name] = {computes(type) ? Encoding::Ggml : Encoding::Integers, type, type,
                       static_cast<uint64_t>(ggml_blck_size(type)), ggml_type_size(type)};
    }
    // Of these a table may have tensors that no layer asks for.
    for (const auto & [name, block, bytes] :
         std::initializer_list<std::tuple<const char *, int, int>>{{"bool", 1, 1},
                                                                   {"u8", 1, 1},
                                                                   {"u16", 1, 2},
                                                                   {"u32", 1, 4},
                                                                   {"u64", 1, 8},
                                                                   {"c64", 1, 8},
                                                                   {"f8_e8m0", 1, 1},
                                                                   {"f8_e4m3fnuz", 1, 1},
                                                                   {"f8_e5m2fnuz", 1, 1},
                                                                   {"f6_e2m3", 4, 3},
                                                                   {"f6_e3m2", 4, 3}})
        types[name] = {Encoding::Integers, GGML_TYPE_I8, GGML_TYPE_I8, static_cast<uint64_t>(block),
                       static_cast<uint64_t>(bytes)};
    types["f64"] = {Encoding::F64, GGML_TYPE_F64, GGML_TYPE_F32, 1, 8};
    types["f8_e4m3"] = {Encoding::F8E4M3, GGML_TYPE_I8, GGML_TYPE_F16, 1, 1};
    types["f8_e5m2"] = {Encoding::F8E5M2, GGML_TYPE_I8, GGML_TYPE_F16, 1, 1};
    types["int8"] = {Encoding::Int8, GGML_TYPE_I8, GGML_TYPE_F16, 1, 1};
    types["int4"] = {Encoding::Int4, GGML_TYPE_I8, GGML_TYPE_F16, 2, 1};
    types["f4_e2m1"] = {Encoding::F4Lower, GGML_TYPE_I8, GGML_TYPE_F16, 2, 1};
    types["f4_e2m1_upper"] = {Encoding::F4Upper, GGML_TYPE_I8, GGML_TYPE_F16, 2, 1};
    return types;
}

/// 4 exponent bits with bias 7, no infinity, one NaN (OCP 8-bit floating point, E4M3).
float from_e4m3(uint8_t bits) {
    const int exponent = (bits >> 3) & 15, mantissa = bits & 7;
    if (exponent == 15 && mantissa == 7) return NAN;
    const float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                      : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    return bits & 0x80 ? -value : value;
}

/// 5 exponent bits: the upper half of an F16.
float from_e5m2(uint8_t bits) { return ggml_fp16_to_fp32(static_cast<ggml_fp16_t>(bits << 8)); }

template <typename ToFloat>
std::array<float, 256> tabulate(ToFloat to_float) {
    std::array<float, 256> table;
    for (size_t i = 0; i < table.size(); ++i) table[i] = to_float(static_cast<uint8_t>(i));
    return table;
}

/// What each of 16 codes stands for: E2M1 floats, and signed integers.
constexpr float e2m1[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,  //
                            -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
constexpr float int4[16] = {0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1};

void look_up_halves(const float * table, bool upper_first, const uint8_t * data, uint64_t first,
                    uint64_t count, float * into) {
    const int even = upper_first ? 4 : 0, odd = 4 - even;
    uint64_t i = 0;
    if (first % 2 == 1 && count > 0) into[i++] = table[data[first / 2] >> odd & 15];
    for (const uint8_t * byte = data + (first + i) / 2; i + 1 < count; i += 2, ++byte) {
        into[i] = table[*byte >> even & 15];
        into[i + 1] = table[*byte >> odd & 15];
    }
    if (i < count) into[i] = table[data[(first + i) / 2] >> even & 15];
}

/// Nearest halves, ties to even: what ggml's rounding gives, but without branches, so that the compiler takes
/// several values at a time. ggml's own is compiled for the oldest processors and takes one.
void to_halves(const float * __restrict values, uint64_t count, ggml_fp16_t * __restrict into) {
    for (uint64_t i = 0; i < count; ++i) {
        int32_t bits, small;
        std::memcpy(&bits, &values[i], 4);
        const int32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
        const int32_t normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
        // 0.5 has the last place of the smallest halves: adding it rounds to them
        const float sum = std::fabs(values[i]) + 0.5f;
        std::memcpy(&small, &sum, 4);
        const int32_t large = size > 0x7f800000 ? 0x7e00 : 0x7c00;  // NaN, infinity
        const int32_t finite = size >= 0x38800000 ? normal : small - 0x3f000000;
        into[i] = static_cast<ggml_fp16_t>(sign | (size >= 0x47800000 ? large : finite));
    }
}

/// ggml's functions read whole blocks that are aligned.
void decode_blocks(const StorageType & storage, const uint8_t * data, uint64_t first, uint64_t count,
                   float * into) {
    const uint64_t block = first / storage.block_values, skip = first % storage.block_values;
    const uint64_t blocks = (skip + count + storage.block_values - 1) / storage.block_values;
    const uint8_t * from = data + block * storage.block_bytes;
    if (storage.type == GGML_TYPE_F32) {
        std::memcpy(into, from, count * sizeof(float));
        return;
    }
    std::vector<uint64_t> aligned;
    if (reinterpret_cast<uintptr_t>(from) % sizeof(uint32_t) != 0) {
        aligned.resize((blocks * storage.block_bytes + 7) / 8);
        std::memcpy(aligned.data(), from, blocks * storage.block_bytes);
        from = reinterpret_cast<const uint8_t *>(aligned.data());
    }
    const auto to_float = ggml_get_type_traits(storage.type)->to_float;
    const auto values = static_cast<int64_t>(blocks * storage.block_values);
    if (static_cast<uint64_t>(values) == count) {
        to_float(from, into, values);
        return;
    }
    std::vector<float> whole(static_cast<size_t>(values));
    to_float(from, whole.data(), values);
    std::copy_n(whole.begin() + static_cast<int64_t>(skip), count, into);
}

}  // namespace

const StorageType & storage_type(const std::string & name, const std::string & tensor) {
    static const auto types = list_types();
    const auto found = types.find(name);
    if (found == types.end())
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has the unknown type \"%.40s\".", tensor.c_str(),
             name.c_str());
    return found->second;
}

void decode(const StorageType & storage, const uint8_t * data, uint64_t first, uint64_t count, float * into) {
    static const auto e4m3 = tabulate(from_e4m3), e5m2 = tabulate(from_e5m2);
    switch (storage.encoding) {
        case Encoding::Ggml:
            decode_blocks(storage, data, first, count, into);
            break;
        case Encoding::F64:
            for (uint64_t i = 0; i < count; ++i) {
                double value;
                std::memcpy(&value, data + 8 * (first + i), 8);
                into[i] = static_cast<float>(value);
            }
            break;
        case Encoding::F8E4M3:
            for (uint64_t i = 0; i < count; ++i) into[i] = e4m3[data[first + i]];
            break;
        case Encoding::F8E5M2:
            for (uint64_t i = 0; i < count; ++i) into[i] = e5m2[data[first + i]];
            break;
        case Encoding::Int8:
            for (uint64_t i = 0; i < count; ++i) into[i] = static_cast<int8_t>(data[first + i]);
            break;
        case Encoding::Int4:
            look_up_halves(int4, false, data, first, count, into);
            break;
        case Encoding::F4Lower:
            look_up_halves(e2m1, false, data, first, count, into);
            break;
        case Encoding::F4Upper:
            look_up_halves(e2m1, true, data, first, count, into);
            break;
        case Encoding::Integers:
            fail(ErrorCode::Internal, "Integers were asked for as weights.");
    }
}

void encode(ggml_type type, const float * values, uint64_t count, void * into) {
    switch (type) {
        case GGML_TYPE_F32:
            std::memcpy(into, values, count * sizeof(float));
            break;
        case GGML_TYPE_F16:
            to_halves(values, count, static_cast<ggml_fp16_t *>(into));
            break;
        case GGML_TYPE_BF16:
            ggml_fp32_to_bf16_row(values, static_cast<ggml_bf16_t *>(into), static_cast<int64_t>(count));
            break;
        default:
            fail(ErrorCode::Internal, "Weights can't be widened to %s.", ggml_type_name(type));
    }
}

}  // namespace imageforge
