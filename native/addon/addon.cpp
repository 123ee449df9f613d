// The addon's exports: devices(), silentBackends(), quantize(), readValues() and the class Engine, exactly as
// src/native/addon.ts declares them.
#include <napi.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "addon/convert.h"
#include "addon/engine_state.h"
#include "addon/modules.h"
#include "core/log.h"
#include "core/quantize.h"
#include "core/read_values.h"

namespace imageforge::addon {

namespace {

const char * level_name(LogLevel level) {
    switch (level) {
        case LogLevel::Debug:
            return "debug";
        case LogLevel::Info:
            return "info";
        case LogLevel::Warn:
            return "warn";
        case LogLevel::Error:
            return "error";
    }
    return "info";
}

/// Log lines come from any thread. A full queue drops lines rather than delay a computation.
int forward_log(Napi::Env env, const Napi::Function & callback) {
    struct Line {
        LogLevel level;
        std::string message;
    };
    auto tsfn = Napi::ThreadSafeFunction::New(env, callback, "imageforge log", 1024, 1);
    tsfn.Unref(env);
    const std::shared_ptr<Napi::ThreadSafeFunction> shared(new Napi::ThreadSafeFunction(tsfn),
                                                           [](Napi::ThreadSafeFunction * function) {
                                                               function->Release();
                                                               delete function;
                                                           });
    return add_log_sink([shared](LogLevel level, const std::string & message) {
        auto * line = new Line{level, message};
        const auto deliver = [](Napi::Env e, Napi::Function function, Line * taken) {
            const std::unique_ptr<Line> owned(taken);
            if (e != nullptr && function != nullptr)
                function.Call(
                    {Napi::String::New(e, level_name(owned->level)), Napi::String::New(e, owned->message)});
        };
        if (shared->NonBlockingCall(line, deliver) != napi_ok) delete line;
    });
}

class Engine : public Napi::ObjectWrap<Engine> {
public:
    explicit Engine(const Napi::CallbackInfo & info) : Napi::ObjectWrap<Engine>(info) {
        throw_to_js(info.Env(), [&] {
            const Napi::Object options = read_object(info[0], "options");
            DeviceOptions device;
            device.id = read_text(options.Get("device"), "options.device");
            const Napi::Value threads = options.Get("threads"), flash = options.Get("flashAttention"),
                              log = options.Get("onLog");
            if (!threads.IsUndefined())
                device.threads =
                    static_cast<int>(read_integer(threads, "options.threads", 1, GGML_MAX_N_THREADS));
            const Napi::Value autoencoder = options.Get("autoencoderBytes");
            if (!autoencoder.IsUndefined())
                device.autoencoder_bytes = static_cast<uint64_t>(
                    read_integer(autoencoder, "options.autoencoderBytes", 1, int64_t{1} << 53));
            const bool flash_attention = flash.IsUndefined() || read_flag(flash, "options.flashAttention");
            if (!log.IsUndefined() && !log.IsFunction())
                fail(ErrorCode::InvalidArgument, "options.onLog must be a function.");
            state_ = std::make_shared<EngineState>(device, flash_attention);
            if (log.IsFunction()) state_->log_sink = forward_log(info.Env(), log.As<Napi::Function>());
        });
    }

    static Napi::Function define(Napi::Env env) {
        return DefineClass(
            env, "Engine",
            {InstanceMethod("loadTextEncoder", &Engine::load<TextEncoderNetwork>),
             InstanceMethod("loadDenoiser", &Engine::load<DenoiserNetwork>),
             InstanceMethod("loadControlNet", &Engine::load<ControlNetwork>),
             InstanceMethod("loadAutoencoder", &Engine::load<AutoencoderNetwork>),
             InstanceMethod("loadUpscaler", &Engine::load<UpscalerNetwork>),
             InstanceMethod("abort", &Engine::abort), InstanceMethod("memory", &Engine::memory),
             InstanceMethod("close", &Engine::close)});
    }

private:
    template <typename Network>
    Napi::Value load(const Napi::CallbackInfo & info) {
        return reject_to_js(info.Env(), [&] {
            return load_module<Network>(info.Env(), state_, read_text(info[0], "kind"), read_config(info[1]),
                                        read_weights(info[2]), read_streaming(info[3]));
        });
    }

    Napi::Value abort(const Napi::CallbackInfo & info) {
        if (state_->busy) state_->device.request_abort();
        return info.Env().Undefined();
    }

    Napi::Value memory(const Napi::CallbackInfo & info) {
        double weights = 0, mapped = 0;
        for (const auto & module : state_->modules()) {
            weights += static_cast<double>(module->store->bytes_allocated());
            mapped += static_cast<double>(module->store->bytes_mapped());
            for (const auto & lora : module->loras.stores) {
                weights += static_cast<double>(lora->bytes_allocated());
                mapped += static_cast<double>(lora->bytes_mapped());
            }
        }
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("weights", weights);
        result.Set("mapped", mapped);
        result.Set("compute", static_cast<double>(state_->closed ? 0 : state_->device.compute_bytes()));
        result.Set("scratch", static_cast<double>(kernels::scratch_bytes()));
        result.Set("deviceFree", static_cast<double>(state_->device.memory_free()));
        return result;
    }

    /// Waits for the running job, then frees all networks.
    Napi::Value close(const Napi::CallbackInfo & info) {
        const auto deferred = Napi::Promise::Deferred::New(info.Env());
        state_->closed = true;
        state_->when_idle([state = state_, deferred, env = info.Env()] {
            state->release_all();
            state->device.free_buffers();
            if (state->log_sink) remove_log_sink(state->log_sink);
            state->log_sink = 0;
            deferred.Resolve(env.Undefined());
        });
        return deferred.Promise();
    }

    static std::optional<Streaming> read_streaming(const Napi::Value & value) {
        if (value.IsUndefined()) return {};
        const Napi::Object options = read_object(value, "options");
        const Napi::Value stream = options.Get("stream"), keep = options.Get("keep");
        if (stream.IsUndefined() || !read_flag(stream, "options.stream")) return {};
        Streaming streaming;
        if (!keep.IsUndefined()) streaming.keep = read_number(keep, "options.keep");
        if (!(streaming.keep >= 0 && streaming.keep <= 1))
            fail(ErrorCode::InvalidArgument, "options.keep is %g; a share from 0 to 1 was expected.",
                 streaming.keep);
        return streaming;
    }

    std::shared_ptr<EngineState> state_;
};

Napi::Value devices(const Napi::CallbackInfo & info) {
    return throw_to_js(info.Env(), [&] {
        const auto found = list_devices();
        Napi::Array result = Napi::Array::New(info.Env(), found.size());
        for (size_t i = 0; i < found.size(); ++i)
            result.Set(static_cast<uint32_t>(i), to_js(info.Env(), found[i]));
        return result;
    });
}

Napi::Value silent_backends(const Napi::CallbackInfo & info) {
    return throw_to_js(info.Env(), [&] {
        const auto silent = list_silent_backends();
        Napi::Array result = Napi::Array::New(info.Env(), silent.size());
        for (size_t i = 0; i < silent.size(); ++i) {
            Napi::Object backend = Napi::Object::New(info.Env());
            backend.Set("kind", silent[i].kind);
            backend.Set("reason", silent[i].reason);
            result.Set(static_cast<uint32_t>(i), backend);
        }
        return result;
    });
}

Napi::Value quantize_rows(const Napi::CallbackInfo & info) {
    return throw_to_js(info.Env(), [&] {
        const std::string type = read_text(info[0], "type");
        if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
            fail(ErrorCode::InvalidArgument, "data must be a Float32Array.");
        const auto data = info[1].As<Napi::Float32Array>();
        const auto columns = static_cast<uint64_t>(read_integer(info[2], "columns", 1, int64_t{1} << 31));
        const auto bytes = quantize(type, data.Data(), data.ElementLength(), columns);
        Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), bytes.size());
        std::copy(bytes.begin(), bytes.end(), result.Data());
        return result;
    });
}

Napi::Value read_rows(const Napi::CallbackInfo & info) {
    return throw_to_js(info.Env(), [&] {
        const WeightTable table = read_weights(info[0]);
        const auto first = static_cast<uint64_t>(read_integer(info[1], "first", 0, int64_t{1} << 40));
        const auto count = static_cast<uint64_t>(read_integer(info[2], "count", 1, int64_t{1} << 40));
        const auto values = read_values(table, first, count);
        Napi::Float32Array result = Napi::Float32Array::New(info.Env(), values.size());
        std::copy(values.begin(), values.end(), result.Data());
        return result;
    });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
    define_modules(env);
    exports.Set("devices", Napi::Function::New(env, devices, "devices"));
    exports.Set("silentBackends", Napi::Function::New(env, silent_backends, "silentBackends"));
    exports.Set("quantize", Napi::Function::New(env, quantize_rows, "quantize"));
    exports.Set("readValues", Napi::Function::New(env, read_rows, "readValues"));
    exports.Set("Engine", Engine::define(env));
    return exports;
}

}  // namespace

NODE_API_MODULE(imageforge, init)

}  // namespace imageforge::addon
