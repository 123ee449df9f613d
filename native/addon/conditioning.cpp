#include "addon/conditioning.h"

namespace imageforge::addon {

std::shared_ptr<ConditioningState> own_conditioning(std::unique_ptr<Conditioning> conditioning,
                                                    const ModuleState & owner) {
    auto state = std::make_shared<ConditioningState>();
    state->owner = &owner;
    state->conditioning = std::move(conditioning);
    state->conditioning->lora_generation = owner.runner->lora_generation();
    return state;
}

Napi::Value to_js(Napi::Env env, std::shared_ptr<EngineState> engine,
                  std::shared_ptr<ConditioningState> conditioning) {
    return construct<ConditioningState>(env, classes(env).conditioning, {engine, conditioning});
}

std::vector<std::shared_ptr<ConditioningState>> read_conditionings(const Napi::Value & value,
                                                                   const ModuleState & owner) {
    const auto held = read_held<ConditioningState>(value, classes(value.Env()).conditioning, "conditionings",
                                                   "condition()");
    for (size_t i = 0; i < held.size(); ++i) {
        if (held[i]->owner != &owner)
            fail(ErrorCode::InvalidArgument, "conditionings[%zu] was made by another network.", i);
        if (held[i]->conditioning->lora_generation != owner.runner->lora_generation())
            fail(ErrorCode::InvalidArgument,
                 "conditionings[%zu] was made before setLoras(): call condition() again.", i);
    }
    return held;
}

}  // namespace imageforge::addon
