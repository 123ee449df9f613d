// Checks of what callers pass to a network, in their own order of dimensions (PyTorch's, slowest first).
#pragma once
#include <string>

#include "core/error.h"
#include "core/runner.h"

namespace imageforge {

inline std::string to_text(const Shape & shape) {
    std::string text = "[";
    for (size_t i = shape.size(); i-- > 0;) text += std::to_string(shape[i]) + (i ? ", " : "");
    return text + "]";
}

/// INVALID_ARGUMENT when the tensor has another shape or not as much data as its shape says; `what` as in
/// "unet: the context".
inline void require_shape(const HostTensor & tensor, const Shape & expected, const std::string & what) {
    if (tensor.shape == expected && element_count(expected) == static_cast<int64_t>(tensor.data.size()))
        return;
    fail(ErrorCode::InvalidArgument, "%s has shape %s (%zu values), expected %s", what.c_str(),
         to_text(tensor.shape).c_str(), tensor.data.size(), to_text(expected).c_str());
}

}  // namespace imageforge
