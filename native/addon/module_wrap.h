// The base of the JavaScript objects of loaded networks, and of those that hold native state for them.
#pragma once
#include <napi.h>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "addon/convert.h"
#include "addon/job.h"
#include "addon/modules.h"

namespace imageforge::addon {

/// The argument of a wrapper's constructor. Only native code can make one.
template <typename T>
struct Handle {
    std::shared_ptr<EngineState> engine;
    std::shared_ptr<T> state;
};

template <typename T>
Handle<T> take_handle(const Napi::CallbackInfo & info) {
    if (info.Length() != 1 || !info[0].IsExternal())
        throw Napi::TypeError::New(info.Env(), "This class is constructed by an engine.");
    return *info[0].As<Napi::External<Handle<T>>>().Data();
}

template <typename T>
Napi::Value construct(Napi::Env env, const Napi::FunctionReference & constructor, Handle<T> handle) {
    return constructor.New({Napi::External<Handle<T>>::New(env, &handle)});
}

inline Classes & classes(Napi::Env env) { return *env.GetInstanceData<Classes>(); }

/// Native state that lives until close(), or until the object is collected. A running job shares it until it
/// ends.
template <typename T>
class HeldWrap : public Napi::ObjectWrap<HeldWrap<T>> {
public:
    explicit HeldWrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<HeldWrap<T>>(info) {
        const auto handle = take_handle<T>(info);
        engine_ = handle.engine;
        state_ = handle.state;
    }

    ~HeldWrap() override { state_.reset(); }

    static Napi::Function define(Napi::Env env, const char * name) {
        return HeldWrap::DefineClass(env, name, {HeldWrap::InstanceMethod("close", &HeldWrap::close)});
    }

    Napi::Value close(const Napi::CallbackInfo & info) {
        state_.reset();
        return info.Env().Undefined();
    }

    /// nullptr once closed
    std::shared_ptr<T> state() const { return state_; }

private:
    std::shared_ptr<EngineState> engine_;
    std::shared_ptr<T> state_;
};

/// Reads a list of held states and refuses closed ones. `what` names the argument, `made_by` the function
/// that returns them.
template <typename T>
std::vector<std::shared_ptr<T>> read_held(const Napi::Value & value,
                                          const Napi::FunctionReference & constructor,
                                          const std::string & what, const char * made_by) {
    if (!value.IsArray() || value.As<Napi::Array>().Length() == 0)
        fail(ErrorCode::InvalidArgument, "%s must be an array of at least one.", what.c_str());
    const Napi::Array list = value.As<Napi::Array>();
    std::vector<std::shared_ptr<T>> held;
    for (uint32_t i = 0; i < list.Length(); ++i) {
        const Napi::Value entry = list.Get(i);
        if (!entry.IsObject() || !entry.As<Napi::Object>().InstanceOf(constructor.Value()))
            fail(ErrorCode::InvalidArgument, "%s[%u] must be what %s returned.", what.c_str(), i, made_by);
        held.push_back(HeldWrap<T>::Unwrap(entry.As<Napi::Object>())->state());
        if (!held.back()) fail(ErrorCode::Closed, "%s[%u] is closed.", what.c_str(), i);
    }
    return held;
}

/// The methods that all kinds of networks have.
template <typename Derived, typename Network>
class ModuleWrap : public Napi::ObjectWrap<Derived> {
public:
    explicit ModuleWrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<Derived>(info) {
        const auto handle = take_handle<NetworkState<Network>>(info);
        engine_ = handle.engine;
        state_ = handle.state;
    }

    // Collected without close(). Nobody uses its network, but another job may be using the device.
    ~ModuleWrap() override {
        if (state_ && !state_->closed) {
            state_->closed = true;
            engine_->when_idle([engine = engine_.get(), state = state_] { engine->release(state); });
        }
    }

    Napi::Value bytes(const Napi::CallbackInfo & info) {
        return Napi::Number::New(info.Env(), static_cast<double>(state_->bytes()));
    }

    Napi::Value set_loras(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            auto loras = std::make_shared<std::vector<Lora>>(read_loras(info[0]));
            // Those before go first: the network's own weights are changed, and there is more memory.
            if (!engine_->busy) state_->use_loras({});
            return Job<std::shared_ptr<LoraSet>>::start(
                info.Env(), engine_,
                [engine = engine_, state = state_, loras] {
                    state->check_files();
                    return std::make_shared<LoraSet>(
                        load_loras(engine->device, *state->store, std::move(*loras)));
                },
                [state = state_](Napi::Env env, std::shared_ptr<LoraSet> & set) {
                    state->use_loras(std::move(*set));
                    return env.Undefined();
                });
        });
    }

    Napi::Value rest(const Napi::CallbackInfo & info) {
        engine_->when_idle([state = state_] { state->rest(); });
        return info.Env().Undefined();
    }

    Napi::Value close(const Napi::CallbackInfo & info) {
        const auto deferred = Napi::Promise::Deferred::New(info.Env());
        state_->closed = true;
        engine_->when_idle([state = state_, engine = engine_, deferred, env = info.Env()] {
            engine->release(state);
            // They have the size that this network's graphs needed.
            engine->device.free_buffers();
            deferred.Resolve(env.Undefined());
        });
        return deferred.Promise();
    }

protected:
    static Napi::Function define_with(Napi::Env env, const char * name,
                                      std::vector<Napi::ClassPropertyDescriptor<Derived>> own) {
        own.push_back(Derived::InstanceAccessor("bytes", &Derived::bytes, nullptr));
        own.push_back(Derived::InstanceMethod("setLoras", &Derived::set_loras));
        own.push_back(Derived::InstanceMethod("rest", &Derived::rest));
        own.push_back(Derived::InstanceMethod("close", &Derived::close));
        return Derived::DefineClass(env, name, own);
    }

    /// A method that computes. `read` turns the arguments into work on the network and its runner, which runs
    /// as a job after the files are checked. `convert` turns the result into JavaScript. An error in any of
    /// them rejects the promise.
    template <typename Read, typename Convert>
    Napi::Value compute(const Napi::CallbackInfo & info, Read read, Convert convert) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            auto work = read();
            using Result = decltype(work(*state_->network, *state_->runner));
            return Job<Result>::start(
                info.Env(), engine_,
                [state = state_, work]() mutable {
                    state->check_files();
                    return work(*state->network, *state->runner);
                },
                convert);
        });
    }

    /// For results that to_js() converts.
    template <typename Read>
    Napi::Value compute(const Napi::CallbackInfo & info, Read read) {
        return compute(info, read, [](Napi::Env env, auto & result) { return to_js(env, result); });
    }

    std::shared_ptr<EngineState> engine_;
    std::shared_ptr<NetworkState<Network>> state_;

private:
    void check_open() const {
        if (engine_->closed) fail(ErrorCode::Closed, "The engine is closed.");
        if (state_->closed) fail(ErrorCode::Closed, "The network is closed.");
    }
};

}  // namespace imageforge::addon
