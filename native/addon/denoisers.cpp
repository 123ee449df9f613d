// Denoiser, and ControlNet, which runs before it in each step. A ControlNet's results stay on the device and
// are passed on as Residuals.
#include "addon/conditioning.h"

namespace imageforge::addon {

namespace {

/// Plain pointers, for the networks, to the conditionings that JavaScript holds.
std::vector<const Conditioning *> list(const std::vector<std::shared_ptr<ConditioningState>> & held) {
    std::vector<const Conditioning *> conditionings;
    for (const auto & state : held) conditionings.push_back(state->conditioning.get());
    return conditionings;
}

class DenoiserWrap : public ModuleWrap<DenoiserWrap, DenoiserNetwork> {
public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return define_with(env, "Denoiser",
                           {InstanceMethod("condition", &DenoiserWrap::condition),
                            InstanceMethod("predict", &DenoiserWrap::predict)});
    }

    Napi::Value condition(const Napi::CallbackInfo & info) {
        return compute(
            info,
            [&] {
                auto inputs =
                    std::make_shared<ConditioningInputs>(read_conditioning_inputs(info[0], "inputs"));
                return [inputs, owner = state_.get()](DenoiserNetwork & network, Runner & runner) {
                    return own_conditioning(network.condition(runner, std::move(*inputs)), *owner);
                };
            },
            [engine = engine_](Napi::Env env, std::shared_ptr<ConditioningState> & made) {
                return to_js(env, engine, made);
            });
    }

    Napi::Value predict(const Napi::CallbackInfo & info) {
        return compute(info, [&] {
            auto held = read_conditionings(info[2], *state_);
            return [latent = read_tensor(info[0], "latent"),
                    timestep = static_cast<float>(read_number(info[1], "timestep")), held,
                    residuals = read_residuals(info[3], held.size())](DenoiserNetwork & network,
                                                                      Runner & runner) {
                std::vector<Pass> passes;
                for (const Conditioning * conditioning : list(held)) {
                    const size_t i = passes.size();
                    passes.push_back({conditioning, residuals.empty() ? nullptr : residuals[i].get()});
                }
                return predict_all(network, runner, latent, timestep, passes);
            };
        });
    }

private:
    static std::vector<std::shared_ptr<DeviceTensors>> read_residuals(const Napi::Value & value,
                                                                      size_t count) {
        if (value.IsUndefined()) return {};
        auto held = read_held<DeviceTensors>(value, classes(value.Env()).residuals, "residuals", "steer()");
        if (held.size() != count)
            fail(ErrorCode::InvalidArgument, "residuals has %zu entries for %zu conditionings.", held.size(),
                 count);
        return held;
    }
};

class ControlNetWrap : public ModuleWrap<ControlNetWrap, ControlNetwork> {
public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return define_with(env, "ControlNet",
                           {InstanceMethod("condition", &ControlNetWrap::condition),
                            InstanceMethod("steer", &ControlNetWrap::steer)});
    }

    Napi::Value condition(const Napi::CallbackInfo & info) {
        return compute(
            info,
            [&] {
                auto prompts =
                    std::make_shared<std::vector<ConditioningInputs>>(read_prompts(info[1], "prompts"));
                return [picture = read_image(info[0]), prompts, owner = state_.get()](
                           ControlNetwork & network, Runner & runner) {
                    std::vector<std::shared_ptr<ConditioningState>> made;
                    for (auto & one : network.condition(runner, picture, std::move(*prompts)))
                        made.push_back(own_conditioning(std::move(one), *owner));
                    return made;
                };
            },
            [engine = engine_](Napi::Env env, std::vector<std::shared_ptr<ConditioningState>> & made) {
                Napi::Array result = Napi::Array::New(env, made.size());
                for (size_t i = 0; i < made.size(); ++i)
                    result.Set(static_cast<uint32_t>(i), to_js(env, engine, made[i]));
                return result;
            });
    }

    Napi::Value steer(const Napi::CallbackInfo & info) {
        return compute(
            info,
            [&] {
                return [latent = read_tensor(info[0], "latent"),
                        timestep = static_cast<float>(read_number(info[1], "timestep")),
                        held = read_conditionings(info[2], *state_),
                        strength = static_cast<float>(read_number(info[3], "strength"))](
                           ControlNetwork & network, Runner & runner) {
                    return steer_all(network, runner, latent, timestep, list(held), strength);
                };
            },
            [engine = engine_](Napi::Env env, std::vector<DeviceTensors> & residuals) {
                Napi::Array result = Napi::Array::New(env, residuals.size());
                for (size_t i = 0; i < residuals.size(); ++i)
                    result.Set(static_cast<uint32_t>(i),
                               construct<DeviceTensors>(
                                   env, classes(env).residuals,
                                   {engine, std::make_shared<DeviceTensors>(std::move(residuals[i]))}));
                return result;
            });
    }

private:
    static std::vector<ConditioningInputs> read_prompts(const Napi::Value & value, const std::string & what) {
        if (!value.IsArray() || value.As<Napi::Array>().Length() == 0)
            fail(ErrorCode::InvalidArgument, "%s must be an array of at least one.", what.c_str());
        const Napi::Array entries = value.As<Napi::Array>();
        std::vector<ConditioningInputs> prompts;
        for (uint32_t i = 0; i < entries.Length(); ++i)
            prompts.push_back(read_conditioning_inputs(entries.Get(i), what + "[" + std::to_string(i) + "]"));
        return prompts;
    }
};

}  // namespace

void define_denoisers(Napi::Env env, Classes & list) {
    list.conditioning = Napi::Persistent(HeldWrap<ConditioningState>::define(env, "Conditioning"));
    list.residuals = Napi::Persistent(HeldWrap<DeviceTensors>::define(env, "Residuals"));
    list.denoiser = Napi::Persistent(DenoiserWrap::define(env));
    list.control_net = Napi::Persistent(ControlNetWrap::define(env));
}

}  // namespace imageforge::addon
