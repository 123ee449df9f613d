// Frees networks only while nothing computes with them.
#include "addon/engine_state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/log.h"
#include "core/profile.h"

namespace imageforge::addon {

/// A table on stderr for people (IMAGEFORGE_PROFILE=1), or a line of JSON in the named file for programs.
static void report_profile(const std::string & network, const Profile & profile) {
    const char * target = std::getenv("IMAGEFORGE_PROFILE");
    if (!target || std::strcmp(target, "1") == 0) {
        std::fprintf(stderr, "profile of %s\n%s", network.c_str(), format_profile(profile, 30).c_str());
        return;
    }
    std::FILE * file = std::fopen(target, "a");
    if (!file || std::fputs(profile_json(network, profile).c_str(), file) < 0)
        log_line(LogLevel::Warn, std::string("The profile can't be written to ") + target + ".");
    if (file) std::fclose(file);
}

void ModuleState::profile_as(const std::string & name) {
    profiled_as_ = name;
    runner->start_profile();
}

void ModuleState::use_loras(LoraSet set) {
    runner->set_loras(set.updates);
    store->restore();
    for (const ChangedWeight & changed : set.changed) store->replace(changed.replaced(), changed.tensor());
    loras = std::move(set);
}

void ModuleState::release() {
    if (runner && !profiled_as_.empty()) report_profile(profiled_as_, runner->stop_profile());
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

void ModuleState::rest() const {
    if (!store) return;
    store->give_back();
    for (const auto & lora : loras.stores) lora->give_back();
}

EngineState::~EngineState() {
    if (log_sink) remove_log_sink(log_sink);
}

void EngineState::add(std::shared_ptr<ModuleState> module) { modules_.push_back(std::move(module)); }

void EngineState::release(const std::shared_ptr<ModuleState> & module) {
    module->release();
    modules_.erase(std::remove(modules_.begin(), modules_.end(), module), modules_.end());
}

void EngineState::release_all() {
    for (const auto & module : modules_) {
        module->closed = true;
        module->release();
    }
    modules_.clear();
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
