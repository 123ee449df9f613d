// Opens ggml's backends and answers what fits. No other file knows which backend a device belongs to.
#include "core/device.h"

#include <ggml-alloc.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "core/error.h"
#include "core/memory.h"

namespace imageforge {

namespace {

DeviceInfo describe(ggml_backend_dev_t dev, std::map<std::string, int> & counts) {
    DeviceInfo info;
    info.kind = backend_kind(dev);
    info.name = ggml_backend_dev_description(dev);
    if (info.kind == "cpu") {
        const SystemMemory memory = system_memory();
        info.id = "cpu";
        info.memory_total = memory.total;
        info.memory_free = memory.free;
    } else {
        info.id = info.kind + std::to_string(counts[info.kind]++);
        size_t free = 0, total = 0;
        ggml_backend_dev_memory(dev, &free, &total);
        info.memory_total = total;
        info.memory_free = free;
    }
    return info;
}

/// Calls `visit` with every usable device, in ggml's order.
template <typename Visit>
void for_each_device(Visit visit) {
    load_backends();
    std::map<std::string, int> counts;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        const ggml_backend_dev_t dev = ggml_backend_dev_get(i);
        const auto type = ggml_backend_dev_type(dev);
        if (type == GGML_BACKEND_DEVICE_TYPE_CPU || type == GGML_BACKEND_DEVICE_TYPE_GPU ||
            type == GGML_BACKEND_DEVICE_TYPE_IGPU)
            visit(dev, describe(dev, counts));
    }
}

bool aborted(void * flag) { return static_cast<std::atomic<bool> *>(flag)->load(std::memory_order_relaxed); }

ggml_backend_t open_backend(ggml_backend_dev_t dev, int threads, std::atomic<bool> * abort) {
    const ggml_backend_t backend = ggml_backend_dev_init(dev, nullptr);
    if (!backend)
        fail(ErrorCode::DeviceUnavailable, "The device %s can't be opened.",
             ggml_backend_dev_description(dev));
    const ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(dev);
    // The CPU backend is a loaded module, so its functions are looked up by name.
    if (void * set = ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"))
        reinterpret_cast<ggml_backend_set_n_threads_t>(set)(backend, threads);
    if (void * set = ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_abort_callback"))
        reinterpret_cast<ggml_backend_set_abort_callback_t>(set)(backend, aborted, abort);
    return backend;
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
    std::vector<DeviceInfo> devices;
    for_each_device([&](ggml_backend_dev_t, const DeviceInfo & info) { devices.push_back(info); });
    return devices;
}

int default_threads() {
    int count = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        std::set<std::pair<int, int>> cores;
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (!CPU_ISSET(cpu, &allowed)) continue;
            const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
            int package = 0, core = cpu;
            std::ifstream(topology + "physical_package_id") >> package;
            std::ifstream file(topology + "core_id");
            if (!(file >> core)) core = cpu;
            cores.insert({package, core});
        }
        if (!cores.empty()) count = static_cast<int>(cores.size());
    }
    // A control group's share of processor time: "quota period" in microseconds, or "max".
    double quota = 0, period = 0;
    std::ifstream limit("/sys/fs/cgroup/cpu.max");
    if (limit >> quota >> period && quota > 0 && period > 0)
        count = std::min(count, static_cast<int>(std::ceil(quota / period)));
#endif
    return std::max(1, count);
}

Device::Device(const DeviceOptions & options) {
    std::string known;
    for_each_device([&](ggml_backend_dev_t dev, const DeviceInfo & info) {
        known += (known.empty() ? "" : ", ") + info.id;
        if (info.id == options.id && !dev_) {
            dev_ = dev;
            info_ = info;
        }
    });
    if (!dev_) {
        const std::string why = explain_missing(options.id.substr(0, options.id.find_first_of("0123456789")));
        fail(ErrorCode::DeviceUnavailable, "There is no device \"%s\"; found: %s.%s%s", options.id.c_str(),
             known.empty() ? "none (the backend libraries are not beside the addon)" : known.c_str(),
             why.empty() ? "" : " ", why.c_str());
    }
    if (options.threads < 0 || options.threads > GGML_MAX_N_THREADS)
        fail(ErrorCode::InvalidArgument, "The number of threads must be from 1 to %d, found %d.",
             GGML_MAX_N_THREADS, options.threads);
    threads_ = options.threads ? options.threads : default_threads();
    autoencoder_bytes_ = options.autoencoder_bytes;
    cpu_only_ = info_.kind == "cpu";
    backends_.push_back(open_backend(dev_, threads_, &abort_));
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!cpu_only_ && cpu) backends_.push_back(open_backend(cpu, threads_, &abort_));
    allocator_ = ggml_gallocr_new(buffer_type());
    kernel_env_.abort = &abort_;
    kept_bytes_ = std::make_shared<std::atomic<uint64_t>>(0);
}

Device::~Device() {
    if (scheduler_) ggml_backend_sched_free(scheduler_);
    if (allocator_) ggml_gallocr_free(allocator_);
    for (const ggml_backend_t backend : backends_) ggml_backend_free(backend);
}

ggml_backend_buffer_type_t Device::buffer_type() const { return ggml_backend_dev_buffer_type(dev_); }

uint64_t Device::memory_free() const {
    if (cpu_only_) return system_memory().free;
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(dev_, &free, &total);
    return free;
}

void Device::require_memory(uint64_t bytes, const std::string & purpose) const {
    if (bytes > memory_free()) refuse_memory(bytes, purpose);
}

void Device::refuse_memory(uint64_t bytes, const std::string & purpose) const {
    fail(ErrorCode::OutOfMemory, "Not enough memory on %s for %s: %s needed, %s free.", info_.id.c_str(),
         purpose.c_str(), format_bytes(bytes).c_str(), format_bytes(memory_free()).c_str());
}

std::shared_ptr<ggml_backend_buffer> Device::allocate(uint64_t bytes, const std::string & purpose) const {
    require_memory(bytes, purpose);
    const ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(buffer_type(), bytes);
    if (!buffer) refuse_memory(bytes, purpose);
    ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    return hold(buffer);
}

std::shared_ptr<ggml_backend_buffer> Device::hold(ggml_backend_buffer_t buffer) const {
    const size_t size = ggml_backend_buffer_get_size(buffer);
    *kept_bytes_ += size;
    return {buffer, [counter = kept_bytes_, size](ggml_backend_buffer_t held) {
                *counter -= size;
                ggml_backend_buffer_free(held);
            }};
}

uint64_t Device::autoencoder_budget() const {
    // CPU: enough for 512 x 512 in one piece. GPU: nothing else needs its memory in the meantime.
    const uint64_t usual = cpu_only_ ? uint64_t{640} << 20 : UINT64_MAX;
    const uint64_t most = autoencoder_bytes_ ? autoencoder_bytes_ : usual;
    return std::min(most, memory_free() + buffer_bytes_.load());
}

void Device::free_buffers() {
    active_ = nullptr;
    if (scheduler_) ggml_backend_sched_free(scheduler_);
    scheduler_ = nullptr;
    ggml_gallocr_free(allocator_);
    allocator_ = ggml_gallocr_new(buffer_type());
    count_buffers();
}

void Device::count_buffers() {
    uint64_t bytes = ggml_gallocr_get_buffer_size(allocator_, 0);
    if (scheduler_)
        for (const ggml_backend_t backend : backends_)
            bytes += ggml_backend_sched_get_buffer_size(scheduler_, backend);
    buffer_bytes_ = bytes;
}

}  // namespace imageforge
