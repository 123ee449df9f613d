// Checks a caller's tensors. Messages give shapes in the caller's order (PyTorch's, slowest first).
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

/// INVALID_ARGUMENT when the tensor has another shape, or other data than its shape says. `what` as in "unet:
/// the context".
inline void require_shape(const HostTensor & tensor, const Shape & expected, const std::string & what) {
    if (tensor.shape == expected && element_count(expected) > 0 &&
        element_count(expected) == static_cast<int64_t>(tensor.data.size()))
        return;
    fail(ErrorCode::InvalidArgument, "%s has shape %s (%zu values), expected %s", what.c_str(),
         to_text(tensor.shape).c_str(), tensor.data.size(), to_text(expected).c_str());
}

/// A picture for an autoencoder: [W, H, 3], both divisible by `factor`.
inline void require_image(const HostTensor & image, int64_t factor, const std::string & network) {
    const Shape & shape = image.shape;
    if (shape.size() != 3 || shape[2] != 3 || shape[0] % factor != 0 || shape[1] % factor != 0) {
        fail(ErrorCode::InvalidArgument,
             "%s: the image has shape %s, expected 3 channels and a height and width divisible by %lld",
             network.c_str(), to_text(shape).c_str(), static_cast<long long>(factor));
    }
    require_shape(image, shape, network + ": the image");
}

inline void require_latent(const HostTensor & latent, int64_t channels, const std::string & network) {
    if (latent.shape.size() != 3 || latent.shape[2] != channels) {
        fail(ErrorCode::InvalidArgument,
             "%s: the latent has shape %s, expected %lld channels, height and width", network.c_str(),
             to_text(latent.shape).c_str(), static_cast<long long>(channels));
    }
    require_shape(latent, latent.shape, network + ": the latent");
}

/// Restores three dimensions: fetching a result drops trailing dimensions of 1.
inline HostTensor as_image(HostTensor tensor) {
    tensor.shape.resize(3, 1);
    return tensor;
}

inline std::string size_text(const HostTensor & tensor) {
    return std::to_string(tensor.shape[0]) + "x" + std::to_string(tensor.shape[1]);
}

}  // namespace imageforge
