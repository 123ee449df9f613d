// Devices: those that ggml finds on this machine, the memory that is really free on each, and the one that an
// engine computes on.
#pragma once
#include <ggml-alloc.h>
#include <ggml-backend.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/backends.h"
#include "kernels/kernels.h"

namespace imageforge {

struct DeviceInfo {
    std::string id;    // "cpu", "cuda0", "metal0", "vulkan0"
    std::string kind;  // "cpu", "cuda", "metal", "vulkan"
    std::string name;
    uint64_t memory_total = 0;  // bytes; of the machine, or of the control group that limits this process
    uint64_t memory_free = 0;
};

std::vector<DeviceInfo> list_devices();

/// Cores (not hardware threads) that this process may use, by its CPU affinity and control group.
int default_threads();

struct DeviceOptions {
    std::string id = "cpu";
    int threads = 0;  // 0: default_threads()
    /// Bytes of compute buffer that an autoencoder may use before it switches to tiles; 0: a default by
    /// device.
    uint64_t autoencoder_bytes = 0;
};

/// An open device. Its compute buffer is shared by all graphs that run on it, one at a time.
class Device {
public:
    /// Throws DEVICE_UNAVAILABLE, naming the devices that exist.
    explicit Device(const DeviceOptions & options);
    ~Device();
    Device(const Device &) = delete;

    bool is_cpu() const { return cpu_only_; }
    /// See Ctx::direct_convolution.
    bool convolves_directly() const { return cpu_only_ || info_.kind == "vulkan"; }
    int threads() const { return threads_; }
    const DeviceInfo & info() const { return info_; }
    ggml_backend_t backend() const { return backends_.front(); }
    ggml_backend_buffer_type_t buffer_type() const;

    /// Bytes free on the device now.
    uint64_t memory_free() const;
    /// Throws OUT_OF_MEMORY with figures when `bytes` more don't fit; `purpose` as in "the weights of the
    /// UNet".
    void require_memory(uint64_t bytes, const std::string & purpose) const;
    /// Throws OUT_OF_MEMORY after an allocation of `bytes` has failed.
    [[noreturn]] void refuse_memory(uint64_t bytes, const std::string & purpose) const;
    /// Bytes of compute buffer that an autoencoder may use, given its limit and the free memory.
    uint64_t autoencoder_budget() const;
    /// Memory for streamed weights; throws as require_memory().
    std::shared_ptr<ggml_backend_buffer> allocate(uint64_t bytes, const std::string & purpose) const;
    /// Takes ownership of a buffer and counts it as this device's until the last reference goes.
    std::shared_ptr<ggml_backend_buffer> hold(ggml_backend_buffer_t buffer) const;
    /// Bytes of the compute buffers, of tensors kept between graphs, and of allocate()'s buffers.
    uint64_t compute_bytes() const { return buffer_bytes_.load() + kept_bytes_->load(); }

    /// Frees the compute buffers. The next graph allocates them again.
    void free_buffers();

    void request_abort() { abort_.store(true); }
    void clear_abort() { abort_.store(false); }
    const std::atomic<bool> & abort_flag() const { return abort_; }
    /// For the kernels in a graph; lives as long as the device.
    const kernels::Env & kernel_env() const { return kernel_env_; }

private:
    friend class Runner;
    void count_buffers();

    DeviceInfo info_;
    ggml_backend_dev_t dev_ = nullptr;
    std::vector<ggml_backend_t> backends_;  // the device, then the CPU for what it can't do
    ggml_gallocr_t allocator_ = nullptr;    // the compute buffer, for graphs that the device can run alone
    ggml_backend_sched_t scheduler_ = nullptr;           // for graphs that the CPU runs in part
    std::atomic<uint64_t> buffer_bytes_{0};              // of both; may be read while a graph runs
    std::shared_ptr<std::atomic<uint64_t>> kept_bytes_;  // of buffers taken by hold()
    void * active_ = nullptr;  // the Runner::Graph that the compute buffer is laid out for
    int threads_ = 1;
    uint64_t autoencoder_bytes_ = 0;
    bool cpu_only_ = true;
    std::atomic<bool> abort_{false};
    kernels::Env kernel_env_;
};

}  // namespace imageforge
