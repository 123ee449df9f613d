// The JavaScript objects of loaded networks: TextEncoder; Denoiser with its Conditioning; ControlNet with its
// Residuals; Autoencoder; Upscaler.
#pragma once
#include <napi.h>

#include <memory>
#include <optional>
#include <string>

#include "addon/engine_state.h"
#include "core/network.h"
#include "core/stream.h"

namespace imageforge::addon {

template <typename Network>
struct NetworkState : ModuleState {
    std::unique_ptr<Network> network;

    void release() override {
        network.reset();
        ModuleState::release();
    }
};

/// Constructors of these classes. They aren't exported: engines call them.
struct Classes {
    Napi::FunctionReference text_encoder, denoiser, conditioning, control_net, residuals, autoencoder,
        upscaler;
};

// Each defines the classes of the source file that it is named after.
void define_text_encoder(Napi::Env env, Classes & list);
void define_denoisers(Napi::Env env, Classes & list);
void define_picture_networks(Napi::Env env, Classes & list);

/// Defines all classes and stores the constructors with the environment.
void define_modules(Napi::Env env);

/// Loads a network and resolves to its JavaScript object. With `streaming`, weights are in memory only while
/// they are needed, except for the share that is kept.
template <typename Network>
Napi::Promise load_module(Napi::Env env, std::shared_ptr<EngineState> engine, const std::string & kind,
                          Config config, WeightTable table, std::optional<Streaming> streaming);

}  // namespace imageforge::addon
