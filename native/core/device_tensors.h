// Tensors that stay on the device between graphs: a conditioning, a ControlNet's residuals.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/device.h"
#include "core/weights.h"

namespace imageforge {

struct TensorLike {
    Shape shape;
    ggml_type type;
};

/// Owns its tensors. Several graphs may read them.
class DeviceTensors {
public:
    /// Throws OUT_OF_MEMORY, before anything is allocated.
    static DeviceTensors allocate(Device & device, const std::map<std::string, TensorLike> & wanted);

    bool has(const std::string & name) const { return tensors_.count(name) != 0; }
    Tensor at(const std::string & name) const;
    /// The tensors whose names begin with `prefix`, with the prefix removed. They share ownership of all the
    /// memory.
    DeviceTensors below(const std::string & prefix) const;
    uint64_t bytes() const;

private:
    std::map<std::string, Tensor> tensors_;
    std::shared_ptr<ggml_context> context_;
    std::shared_ptr<ggml_backend_buffer> buffer_;
};

}  // namespace imageforge
