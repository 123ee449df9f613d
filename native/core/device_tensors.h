// Tensors that stay on the device between graphs: a conditioning, what a ControlNet hands to its denoiser.
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

/// Owns them; may be read by several graphs.
class DeviceTensors {
public:
    /// Throws OUT_OF_MEMORY, before anything is allocated.
    static DeviceTensors allocate(Device & device, const std::map<std::string, TensorLike> & wanted);

    bool has(const std::string & name) const { return tensors_.count(name) != 0; }
    Tensor at(const std::string & name) const;
    /// Those whose names begin with `prefix`, without it. The memory of all stays while any is held.
    DeviceTensors below(const std::string & prefix) const;
    uint64_t bytes() const;

private:
    std::map<std::string, Tensor> tensors_;
    std::shared_ptr<ggml_context> context_;
    std::shared_ptr<ggml_backend_buffer> buffer_;
};

}  // namespace imageforge
