// Only types that need no importance matrix: ggml would end the process on any other.
#include "core/quantize.h"

#include <ggml.h>

#include <algorithm>
#include <cctype>

#include "core/error.h"

namespace imageforge {

std::vector<uint8_t> quantize(const std::string & type, const float * values, uint64_t count,
                              uint64_t columns) {
    static const ggml_type possible[] = {GGML_TYPE_F32,  GGML_TYPE_F16,    GGML_TYPE_BF16,  GGML_TYPE_Q4_0,
                                         GGML_TYPE_Q4_1, GGML_TYPE_Q5_0,   GGML_TYPE_Q5_1,  GGML_TYPE_Q8_0,
                                         GGML_TYPE_Q2_K, GGML_TYPE_Q3_K,   GGML_TYPE_Q4_K,  GGML_TYPE_Q5_K,
                                         GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS};
    std::string known;
    for (const ggml_type candidate : possible) {
        std::string name = ggml_type_name(candidate);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        known += (known.empty() ? "" : ", ") + name;
        if (name != type) continue;
        const auto block = static_cast<uint64_t>(ggml_blck_size(candidate));
        if (columns == 0 || columns % block != 0 || count % columns != 0)
            fail(
                ErrorCode::InvalidArgument,
                "Can't quantise %llu values in rows of %llu to %s: rows must be whole blocks of %llu values.",
                static_cast<unsigned long long>(count), static_cast<unsigned long long>(columns),
                name.c_str(), static_cast<unsigned long long>(block));
        std::vector<uint8_t> bytes(ggml_row_size(candidate, static_cast<int64_t>(columns)) *
                                   (count / columns));
        if (count > 0)
            ggml_quantize_chunk(candidate, values, bytes.data(), 0, static_cast<int64_t>(count / columns),
                                static_cast<int64_t>(columns), nullptr);
        return bytes;
    }
    fail(ErrorCode::Unsupported, "Can't quantise to \"%.40s\"; possible: %s.", type.c_str(), known.c_str());
}

}  // namespace imageforge
