// Conditionings as JavaScript holds them: made by a denoiser or a ControlNet, and good for that one alone.
#pragma once
#include "addon/module_wrap.h"

namespace imageforge::addon {

struct ConditioningState {
    std::unique_ptr<Conditioning> conditioning;
    const ModuleState * owner = nullptr;
};

/// What a job of the module `owner` has made, with the updates that its weights have now.
std::shared_ptr<ConditioningState> own_conditioning(std::unique_ptr<Conditioning> conditioning,
                                                    const ModuleState & owner);

Napi::Value to_js(Napi::Env env, std::shared_ptr<EngineState> engine,
                  std::shared_ptr<ConditioningState> conditioning);

/// Conditionings that the module `owner` has made since its last setLoras().
std::vector<std::shared_ptr<ConditioningState>> read_conditionings(const Napi::Value & value,
                                                                   const ModuleState & owner);

}  // namespace imageforge::addon
