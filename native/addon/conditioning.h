// Conditionings as JavaScript holds them. A denoiser or a ControlNet makes one, and only its maker can use
// it.
#pragma once
#include "addon/module_wrap.h"

namespace imageforge::addon {

struct ConditioningState {
    std::unique_ptr<Conditioning> conditioning;
    const ModuleState * owner = nullptr;
};

/// Wraps a conditioning that a job of `owner` has made. It notes the LoRAs that the weights have now.
std::shared_ptr<ConditioningState> own_conditioning(std::unique_ptr<Conditioning> conditioning,
                                                    const ModuleState & owner);

Napi::Value to_js(Napi::Env env, std::shared_ptr<EngineState> engine,
                  std::shared_ptr<ConditioningState> conditioning);

/// Reads conditionings and refuses those that `owner` hasn't made since its last setLoras().
std::vector<std::shared_ptr<ConditioningState>> read_conditionings(const Napi::Value & value,
                                                                   const ModuleState & owner);

}  // namespace imageforge::addon
