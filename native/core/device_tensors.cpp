#include "core/device_tensors.h"

#include <ggml-alloc.h>

#include <algorithm>

#include "core/error.h"

namespace imageforge {

DeviceTensors DeviceTensors::allocate(Device & device, const std::map<std::string, TensorLike> & wanted) {
    DeviceTensors kept;
    if (wanted.empty()) return kept;
    ggml_init_params params = {};
    params.mem_size = wanted.size() * ggml_tensor_overhead();
    params.no_alloc = true;
    kept.context_.reset(ggml_init(params), ggml_free);
    if (!kept.context_)
        fail(ErrorCode::OutOfMemory, "Not enough memory for the description of a conditioning.");
    for (const auto & [name, like] : wanted) {
        int64_t ne[GGML_MAX_DIMS] = {1, 1, 1, 1};
        std::copy(like.shape.begin(), like.shape.end(), ne);
        kept.tensors_[name] = ggml_new_tensor(kept.context_.get(), like.type, GGML_MAX_DIMS, ne);
    }
    const ggml_backend_buffer_type_t type = device.buffer_type();
    const size_t bytes = ggml_backend_alloc_ctx_tensors_from_buft_size(kept.context_.get(), type);
    device.require_memory(bytes, "a conditioning");
    const ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(kept.context_.get(), type);
    if (!buffer) device.refuse_memory(bytes, "a conditioning");
    kept.buffer_ = device.hold(buffer);
    return kept;
}

Tensor DeviceTensors::at(const std::string & name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end())
        fail(ErrorCode::Internal, "No tensor \"%s\" was kept on the device.", name.c_str());
    return found->second;
}

DeviceTensors DeviceTensors::below(const std::string & prefix) const {
    DeviceTensors found = *this;
    found.tensors_.clear();
    for (const auto & [name, tensor] : tensors_)
        if (name.compare(0, prefix.size(), prefix) == 0) found.tensors_[name.substr(prefix.size())] = tensor;
    return found;
}

uint64_t DeviceTensors::bytes() const { return buffer_ ? ggml_backend_buffer_get_size(buffer_.get()) : 0; }

}  // namespace imageforge
