// Each method: read the arguments, start a job, convert its result.
#include "addon/modules.h"

#include <cstdlib>

#include "addon/convert.h"
#include "addon/job.h"

namespace imageforge::addon {

namespace {

template <typename Network>
using State = std::shared_ptr<NetworkState<Network>>;

/// What a wrapper is constructed with: only native code can make one.
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

Classes & classes(Napi::Env env) { return *env.GetInstanceData<Classes>(); }

/// What all three kinds of modules have in common.
template <typename Derived, typename Network>
class ModuleWrap : public Napi::ObjectWrap<Derived> {
public:
    explicit ModuleWrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<Derived>(info) {
        const auto handle = take_handle<NetworkState<Network>>(info);
        engine_ = handle.engine;
        state_ = handle.state;
    }

    // Collected without close(): what it holds may be in use by nobody, but the device is shared.
    ~ModuleWrap() override {
        if (state_ && !state_->closed) {
            state_->closed = true;
            engine_->when_idle([state = state_] { state->release(); });
        }
    }

    Napi::Value bytes(const Napi::CallbackInfo & info) {
        return Napi::Number::New(info.Env(), static_cast<double>(state_->bytes()));
    }

    Napi::Value set_loras(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            auto loras = std::make_shared<std::vector<Lora>>(read_loras(info[0]));
            return Job<std::shared_ptr<LoraSet>>::start(
                info.Env(), engine_,
                [engine = engine_, state = state_, loras] {
                    state->check_files();
                    return std::make_shared<LoraSet>(
                        load_loras(engine->device, *state->store, std::move(*loras)));
                },
                [state = state_](Napi::Env env, std::shared_ptr<LoraSet> & set) {
                    state->runner->set_loras(set->updates);
                    state->loras = std::move(*set);
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
            state->release();
            // Sized for this network's graphs: the next one takes what it needs.
            engine->device.free_buffers();
            deferred.Resolve(env.Undefined());
        });
        return deferred.Promise();
    }

protected:
    void check_open() const {
        if (engine_->closed) fail(ErrorCode::Closed, "The engine is closed.");
        if (state_->closed) fail(ErrorCode::Closed, "The network is closed.");
    }

    static std::vector<Napi::ClassPropertyDescriptor<Derived>> with_common(
        std::vector<Napi::ClassPropertyDescriptor<Derived>> own) {
        own.push_back(Derived::InstanceAccessor("bytes", &Derived::bytes, nullptr));
        own.push_back(Derived::InstanceMethod("setLoras", &Derived::set_loras));
        own.push_back(Derived::InstanceMethod("rest", &Derived::rest));
        own.push_back(Derived::InstanceMethod("close", &Derived::close));
        return own;
    }

    /// A job of this network: `work` gets network and runner after the files were looked at.
    template <typename Result, typename Work, typename Convert>
    Napi::Promise start(Napi::Env env, Work work, Convert convert) {
        return Job<Result>::start(
            env, engine_,
            [state = state_, work]() mutable {
                state->check_files();
                return work(*state->network, *state->runner);
            },
            convert);
    }

    std::shared_ptr<EngineState> engine_;
    State<Network> state_;
};

class TextEncoderWrap : public ModuleWrap<TextEncoderWrap, TextEncoderNetwork> {
public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "TextEncoder",
                           with_common({InstanceMethod("encode", &TextEncoderWrap::encode)}));
    }

    Napi::Value encode(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            auto tokens = read_tokens(info[0]);
            auto options = read_encode_options(info[1]);
            return start<Encoding>(
                info.Env(),
                [tokens, options](TextEncoderNetwork & network, Runner & runner) {
                    return network.encode(runner, tokens, options);
                },
                [](Napi::Env env, Encoding & encoding) {
                    Napi::Object result = Napi::Object::New(env);
                    Napi::Array hidden = Napi::Array::New(env, encoding.hidden.size());
                    for (size_t i = 0; i < encoding.hidden.size(); ++i)
                        hidden.Set(static_cast<uint32_t>(i), to_js(env, encoding.hidden[i]));
                    result.Set("hidden", hidden);
                    if (encoding.pooled) result.Set("pooled", to_js(env, *encoding.pooled));
                    return result;
                });
        });
    }
};

/// A conditioning and the denoiser that made it.
struct ConditioningState {
    std::unique_ptr<Conditioning> conditioning;
    const ModuleState * owner = nullptr;
};

class ConditioningWrap : public Napi::ObjectWrap<ConditioningWrap> {
public:
    explicit ConditioningWrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<ConditioningWrap>(info) {
        const auto handle = take_handle<ConditioningState>(info);
        engine_ = handle.engine;
        state_ = handle.state;
    }

    ~ConditioningWrap() override { free(); }

    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "Conditioning", {InstanceMethod("close", &ConditioningWrap::close)});
    }

    Napi::Value close(const Napi::CallbackInfo & info) {
        free();
        return info.Env().Undefined();
    }

    /// nullptr once closed
    std::shared_ptr<ConditioningState> state() const { return state_; }

private:
    // A running prediction shares the state and lets go of it when it is done.
    void free() { state_.reset(); }

    std::shared_ptr<EngineState> engine_;
    std::shared_ptr<ConditioningState> state_;
};

class DenoiserWrap : public ModuleWrap<DenoiserWrap, DenoiserNetwork> {
public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "Denoiser",
                           with_common({InstanceMethod("condition", &DenoiserWrap::condition),
                                        InstanceMethod("predict", &DenoiserWrap::predict)}));
    }

    Napi::Value condition(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            auto inputs = std::make_shared<ConditioningInputs>(read_conditioning_inputs(info[0]));
            return start<std::shared_ptr<ConditioningState>>(
                info.Env(),
                [inputs, owner = state_.get()](DenoiserNetwork & network, Runner & runner) {
                    auto made = std::make_shared<ConditioningState>();
                    made->owner = owner;
                    made->conditioning = network.condition(runner, std::move(*inputs));
                    made->conditioning->lora_generation = runner.lora_generation();
                    return made;
                },
                [engine = engine_](Napi::Env env, std::shared_ptr<ConditioningState> & made) {
                    return construct<ConditioningState>(env, classes(env).conditioning, {engine, made});
                });
        });
    }

    Napi::Value predict(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            auto latent = read_tensor(info[0], "latent");
            const float timestep = static_cast<float>(read_number(info[1], "timestep"));
            auto held = read_conditionings(info[2]);
            return start<std::vector<HostTensor>>(
                info.Env(),
                [latent = std::move(latent), timestep, held](DenoiserNetwork & network, Runner & runner) {
                    std::vector<const Conditioning *> conditionings;
                    for (const auto & state : held) conditionings.push_back(state->conditioning.get());
                    return predict_all(network, runner, latent, timestep, conditionings);
                },
                [](Napi::Env env, std::vector<HostTensor> & predictions) {
                    Napi::Array result = Napi::Array::New(env, predictions.size());
                    for (size_t i = 0; i < predictions.size(); ++i)
                        result.Set(static_cast<uint32_t>(i), to_js(env, predictions[i]));
                    return result;
                });
        });
    }

private:
    std::vector<std::shared_ptr<ConditioningState>> read_conditionings(const Napi::Value & value) const {
        if (!value.IsArray() || value.As<Napi::Array>().Length() == 0)
            fail(ErrorCode::InvalidArgument, "conditionings must be an array of at least one conditioning.");
        const Napi::Array list = value.As<Napi::Array>();
        std::vector<std::shared_ptr<ConditioningState>> held;
        for (uint32_t i = 0; i < list.Length(); ++i) {
            const Napi::Value entry = list.Get(i);
            if (!entry.IsObject() ||
                !entry.As<Napi::Object>().InstanceOf(classes(value.Env()).conditioning.Value()))
                fail(ErrorCode::InvalidArgument, "conditionings[%u] must be what condition() returned.", i);
            const auto state = ConditioningWrap::Unwrap(entry.As<Napi::Object>())->state();
            if (!state) fail(ErrorCode::Closed, "conditionings[%u] is closed.", i);
            if (state->owner != state_.get())
                fail(ErrorCode::InvalidArgument, "conditionings[%u] was made by another denoiser.", i);
            if (state->conditioning->lora_generation != state_->runner->lora_generation())
                fail(ErrorCode::InvalidArgument,
                     "conditionings[%u] was made before setLoras(): call condition() again.", i);
            held.push_back(state);
        }
        return held;
    }
};

/// 8-bit RGB.
struct Picture {
    std::vector<uint8_t> rgb;
    int64_t width, height;
};

Picture to_picture(const HostTensor & image) {
    return {to_pixels(image), image.shape.at(0), image.shape.at(1)};
}

Napi::Value picture_to_js(Napi::Env env, const Picture & picture) {
    Napi::Object result = Napi::Object::New(env);
    Napi::Uint8Array rgb = Napi::Uint8Array::New(env, picture.rgb.size());
    std::copy(picture.rgb.begin(), picture.rgb.end(), rgb.Data());
    result.Set("rgb", rgb);
    result.Set("width", static_cast<double>(picture.width));
    result.Set("height", static_cast<double>(picture.height));
    return result;
}

class AutoencoderWrap : public ModuleWrap<AutoencoderWrap, AutoencoderNetwork> {
public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "Autoencoder",
                           with_common({InstanceMethod("encode", &AutoencoderWrap::encode),
                                        InstanceMethod("decode", &AutoencoderWrap::decode),
                                        InstanceMethod("decodeFloat", &AutoencoderWrap::decode_float)}));
    }

    Napi::Value encode(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            return start<Posterior>(
                info.Env(),
                [image = read_image(info[0])](AutoencoderNetwork & network, Runner & runner) {
                    return network.encode(runner, image);
                },
                [](Napi::Env env, Posterior & posterior) {
                    Napi::Object result = Napi::Object::New(env);
                    result.Set("mean", to_js(env, posterior.mean));
                    if (posterior.std) result.Set("std", to_js(env, *posterior.std));
                    return result;
                });
        });
    }

    Napi::Value decode(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            return start<Picture>(
                info.Env(),
                [latent = read_tensor(info[0], "latent")](AutoencoderNetwork & network, Runner & runner) {
                    return to_picture(network.decode(runner, latent));
                },
                [](Napi::Env env, Picture & picture) { return picture_to_js(env, picture); });
        });
    }

    Napi::Value decode_float(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            return start<HostTensor>(
                info.Env(),
                [latent = read_tensor(info[0], "latent")](AutoencoderNetwork & network, Runner & runner) {
                    return network.decode(runner, latent);
                },
                [](Napi::Env env, HostTensor & image) { return to_js(env, image); });
        });
    }
};

class UpscalerWrap : public ModuleWrap<UpscalerWrap, UpscalerNetwork> {
public:
    using ModuleWrap::ModuleWrap;

    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "Upscaler",
                           with_common({InstanceMethod("upscale", &UpscalerWrap::upscale),
                                        InstanceMethod("upscaleFloat", &UpscalerWrap::upscale_float)}));
    }

    Napi::Value upscale(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            return start<Picture>(
                info.Env(),
                [image = read_image(info[0])](UpscalerNetwork & network, Runner & runner) {
                    return to_picture(network.upscale(runner, image));
                },
                [](Napi::Env env, Picture & picture) { return picture_to_js(env, picture); });
        });
    }

    Napi::Value upscale_float(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            check_open();
            return start<HostTensor>(
                info.Env(),
                [image = read_image(info[0])](UpscalerNetwork & network, Runner & runner) {
                    return network.upscale(runner, image);
                },
                [](Napi::Env env, HostTensor & image) { return to_js(env, image); });
        });
    }
};

// What differs between the kinds when one is loaded.
std::unique_ptr<TextEncoderNetwork> make(const std::string & kind, const Config & config, Weights weights,
                                         TextEncoderNetwork *) {
    return make_text_encoder(kind, config, weights);
}
std::unique_ptr<DenoiserNetwork> make(const std::string & kind, const Config & config, Weights weights,
                                      DenoiserNetwork *) {
    return make_denoiser(kind, config, weights);
}
std::unique_ptr<AutoencoderNetwork> make(const std::string & kind, const Config & config, Weights weights,
                                         AutoencoderNetwork *) {
    return make_autoencoder(kind, config, weights);
}
std::unique_ptr<UpscalerNetwork> make(const std::string & kind, const Config & config, Weights weights,
                                      UpscalerNetwork *) {
    return make_upscaler(kind, config, weights);
}
const Napi::FunctionReference & constructor_of(Napi::Env env, TextEncoderNetwork *) {
    return classes(env).text_encoder;
}
const Napi::FunctionReference & constructor_of(Napi::Env env, DenoiserNetwork *) {
    return classes(env).denoiser;
}
const Napi::FunctionReference & constructor_of(Napi::Env env, AutoencoderNetwork *) {
    return classes(env).autoencoder;
}
const Napi::FunctionReference & constructor_of(Napi::Env env, UpscalerNetwork *) {
    return classes(env).upscaler;
}

}  // namespace

void define_modules(Napi::Env env) {
    auto * list = new Classes;
    list->text_encoder = Napi::Persistent(TextEncoderWrap::define(env));
    list->denoiser = Napi::Persistent(DenoiserWrap::define(env));
    list->conditioning = Napi::Persistent(ConditioningWrap::define(env));
    list->autoencoder = Napi::Persistent(AutoencoderWrap::define(env));
    list->upscaler = Napi::Persistent(UpscalerWrap::define(env));
    env.SetInstanceData(list);
}

template <typename Network>
Napi::Promise load_module(Napi::Env env, std::shared_ptr<EngineState> engine, const std::string & kind,
                          Config config, WeightTable table, std::optional<Streaming> streaming) {
    Network * const tag = nullptr;
    auto rows = std::make_shared<WeightTable>(std::move(table));
    return Job<State<Network>>::start(
        env, engine,
        [engine, kind, config, rows, streaming, tag] {
            auto state = std::make_shared<NetworkState<Network>>();
            state->store = std::make_unique<WeightStore>(engine->device, std::move(*rows));
            state->network = make(kind, config, state->store->root(), tag);
            config.check_all_read(kind);
            state->store->load();
            state->runner = std::make_unique<Runner>(engine->device, engine->flash_attention);
            if (streaming) {
                state->runner->stream_from(*state->store, *streaming);
                state->store->give_back();  // what loading has touched
            }
            if (std::getenv("IMAGEFORGE_PROFILE")) state->profile_as(kind);
            return state;
        },
        [engine, tag](Napi::Env e, State<Network> & state) {
            engine->modules.push_back(state);
            return construct<NetworkState<Network>>(e, constructor_of(e, tag), {engine, state});
        });
}

template Napi::Promise load_module<TextEncoderNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                       const std::string &, Config, WeightTable,
                                                       std::optional<Streaming>);
template Napi::Promise load_module<DenoiserNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                    const std::string &, Config, WeightTable,
                                                    std::optional<Streaming>);
template Napi::Promise load_module<AutoencoderNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                       const std::string &, Config, WeightTable,
                                                       std::optional<Streaming>);
template Napi::Promise load_module<UpscalerNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                    const std::string &, Config, WeightTable,
                                                    std::optional<Streaming>);

}  // namespace imageforge::addon
