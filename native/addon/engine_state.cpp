// Frees loaded things only while nothing computes with them.
#include "addon/engine_state.h"

#include "core/log.h"

namespace imageforge::addon {

void ModuleState::release() {
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
