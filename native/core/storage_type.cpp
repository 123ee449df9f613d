// Names of storage types and conversions of those that ggml doesn't compute with.
#include "core/storage_type.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "core/error.h"

namespace imageforge {

namespace {

std::unordered_map<std::string, StorageType> list_types() {
    std::unordered_map<std::string, StorageType> types;
    for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
        const auto type = static_cast<ggml_type>(i);
        if (ggml_blck_size(type) <= 0 || ggml_type_size(type) == 0) continue;  // removed from ggml
        std::string name = ggml_type_name(type);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        const bool weights = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 ||
                             (ggml_is_quantized(type) && ggml_get_type_traits(type)->to_float != nullptr);
        types[name] = {type, Conversion::None, static_cast<uint64_t>(ggml_blck_size(type)),
                       ggml_type_size(type), weights};
    }
    types["f64"] = {GGML_TYPE_F32, Conversion::F64, 1, 8, true};
    types["f8_e4m3"] = {GGML_TYPE_F16, Conversion::F8E4M3, 1, 1, true};
    types["f8_e5m2"] = {GGML_TYPE_F16, Conversion::F8E5M2, 1, 1, true};
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

/// What each of the 256 values of an 8-bit type becomes; the product is taken here, once for all of them.
template <typename ToFloat>
void look_up(ToFloat to_float, const uint8_t * from, ggml_fp16_t * into, uint64_t count, float scale) {
    ggml_fp16_t table[256];
    for (int i = 0; i < 256; ++i) table[i] = ggml_fp32_to_fp16(to_float(static_cast<uint8_t>(i)) * scale);
    for (uint64_t i = 0; i < count; ++i) into[i] = table[from[i]];
}

/// 5 exponent bits: the upper half of an F16.
float from_e5m2(uint8_t bits) { return ggml_fp16_to_fp32(static_cast<ggml_fp16_t>(bits << 8)); }

}  // namespace

StorageType storage_type(const std::string & name, const std::string & tensor) {
    static const auto types = list_types();
    const auto found = types.find(name);
    if (found == types.end())
        fail(ErrorCode::WeightsInvalid, "Tensor \"%.200s\" has the unknown type \"%.40s\".", tensor.c_str(),
             name.c_str());
    return found->second;
}

void convert(Conversion conversion, const uint8_t * from, void * into, uint64_t count, float scale) {
    switch (conversion) {
        case Conversion::None:
            break;
        case Conversion::F64:
            for (uint64_t i = 0; i < count; ++i) {
                double value;
                std::memcpy(&value, from + 8 * i, 8);
                static_cast<float *>(into)[i] = static_cast<float>(value) * scale;
            }
            break;
        case Conversion::F8E4M3:
            look_up(from_e4m3, from, static_cast<ggml_fp16_t *>(into), count, scale);
            break;
        case Conversion::F8E5M2:
            look_up(from_e5m2, from, static_cast<ggml_fp16_t *>(into), count, scale);
            break;
    }
}

}  // namespace imageforge
