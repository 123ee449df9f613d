// Frees loaded things only while nothing computes with them.
#include "addon/engine_state.h"

#include <cstdio>

#include "core/log.h"
#include "core/profile.h"

namespace imageforge::addon {

void ModuleState::profile_as(const std::string & name) {
    profiled_as_ = name;
    runner->start_profile();
}

void ModuleState::release() {
    if (runner && !profiled_as_.empty())
        std::fprintf(stderr, "profile of %s\n%s", profiled_as_.c_str(),
                     format_profile(runner->stop_profile(), 30).c_str());
    runner.reset();
    loras = {};
    store.reset();
}

uint64_t ModuleState::bytes() const {
    return store ? store->bytes_mapped() + store->bytes_allocated() + loras.bytes() : 0;
}

void ModuleState::check_files() const {
    store->check_files();
    for (const auto & lora : loras.stores) lora->check_files();
}

EngineState::~EngineState() {
    if (log_sink) remove_log_sink(log_sink);
}

void EngineState::when_idle(std::function<void()> action) {
    if (busy)
        waiting_.push_back(std::move(action));
    else
        action();
}

void EngineState::finish() {
    busy = false;
    const auto actions = std::move(waiting_);
    waiting_.clear();
    for (const auto & action : actions) action();
}

}  // namespace imageforge::addon
