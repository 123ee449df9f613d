// The state that all objects of one engine share: the device, the loaded networks, whether a job runs, and
// what waits for its end. All of it belongs to the JavaScript thread; only a job's work runs elsewhere, one
// job at a time.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/lora.h"
#include "core/runner.h"
#include "core/weights.h"

namespace imageforge::addon {

/// The part of a loaded network that doesn't depend on its kind.
struct ModuleState {
    virtual ~ModuleState() = default;

    std::unique_ptr<WeightStore> store;
    LoraSet loras;
    std::unique_ptr<Runner> runner;
    bool closed = false;

    /// IMAGEFORGE_PROFILE: times every operation. When the network is closed, a table goes to stderr (value
    /// 1), or a line of JSON is appended to the file that the value names.
    void profile_as(const std::string & name);
    /// These in the place of those before.
    void use_loras(LoraSet set);
    /// Frees everything that was loaded.
    virtual void release();
    uint64_t bytes() const;
    /// Called before each run: a mapped file may have been truncated.
    void check_files() const;
    /// Called between runs: mapped weights leave resident memory.
    void rest() const;

private:
    std::string profiled_as_;
};

struct EngineState {
    EngineState(const DeviceOptions & options, bool flash) : device(options), flash_attention(flash) {}
    ~EngineState();

    Device device;
    bool flash_attention;
    bool busy = false;
    bool closed = false;
    int log_sink = 0;

    /// The networks that are loaded.
    const std::vector<std::shared_ptr<ModuleState>> & modules() const { return modules_; }
    void add(std::shared_ptr<ModuleState> module);
    /// Frees what the network holds and forgets it. Only while no job runs.
    void release(const std::shared_ptr<ModuleState> & module);
    void release_all();

    /// Calls `action` now, or when the running job has ended.
    void when_idle(std::function<void()> action);
    /// The job has ended.
    void finish();

private:
    std::vector<std::shared_ptr<ModuleState>> modules_;
    std::vector<std::function<void()>> waiting_;
};

}  // namespace imageforge::addon
