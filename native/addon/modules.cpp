// Loads a network: its weights, its runner and its JavaScript object.
#include "addon/modules.h"

#include <cstdlib>

#include "addon/module_wrap.h"

namespace imageforge::addon {

namespace {

/// The factory and the constructor for each kind of network.
template <typename Network>
struct Made;
template <>
struct Made<TextEncoderNetwork> {
    static constexpr auto make = make_text_encoder;
    static constexpr auto constructor = &Classes::text_encoder;
};
template <>
struct Made<DenoiserNetwork> {
    static constexpr auto make = make_denoiser;
    static constexpr auto constructor = &Classes::denoiser;
};
template <>
struct Made<ControlNetwork> {
    static constexpr auto make = make_control_net;
    static constexpr auto constructor = &Classes::control_net;
};
template <>
struct Made<AutoencoderNetwork> {
    static constexpr auto make = make_autoencoder;
    static constexpr auto constructor = &Classes::autoencoder;
};
template <>
struct Made<UpscalerNetwork> {
    static constexpr auto make = make_upscaler;
    static constexpr auto constructor = &Classes::upscaler;
};

}  // namespace

void define_modules(Napi::Env env) {
    auto * list = new Classes;
    define_text_encoder(env, *list);
    define_denoisers(env, *list);
    define_picture_networks(env, *list);
    env.SetInstanceData(list);
}

template <typename Network>
Napi::Promise load_module(Napi::Env env, std::shared_ptr<EngineState> engine, const std::string & kind,
                          Config config, WeightTable table, std::optional<Streaming> streaming) {
    auto rows = std::make_shared<WeightTable>(std::move(table));
    return Job<std::shared_ptr<NetworkState<Network>>>::start(
        env, engine,
        [engine, kind, config, rows, streaming] {
            auto state = std::make_shared<NetworkState<Network>>();
            state->store = std::make_unique<WeightStore>(engine->device, std::move(*rows));
            state->network = Made<Network>::make(kind, config, state->store->root());
            config.check_all_read(kind);
            state->store->load(streaming ? std::optional(streaming->keep) : std::nullopt);
            state->runner = std::make_unique<Runner>(engine->device, engine->flash_attention);
            if (streaming) {
                state->runner->stream_from(*state->store, *streaming);
                state->store->give_back();  // the pages that loading has touched
            }
            if (std::getenv("IMAGEFORGE_PROFILE")) state->profile_as(kind);
            return state;
        },
        [engine](Napi::Env e, std::shared_ptr<NetworkState<Network>> & state) {
            engine->add(state);
            return construct<NetworkState<Network>>(e, classes(e).*Made<Network>::constructor,
                                                    {engine, state});
        });
}

template Napi::Promise load_module<TextEncoderNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                       const std::string &, Config, WeightTable,
                                                       std::optional<Streaming>);
template Napi::Promise load_module<DenoiserNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                    const std::string &, Config, WeightTable,
                                                    std::optional<Streaming>);
template Napi::Promise load_module<ControlNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                   const std::string &, Config, WeightTable,
                                                   std::optional<Streaming>);
template Napi::Promise load_module<AutoencoderNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                       const std::string &, Config, WeightTable,
                                                       std::optional<Streaming>);
template Napi::Promise load_module<UpscalerNetwork>(Napi::Env, std::shared_ptr<EngineState>,
                                                    const std::string &, Config, WeightTable,
                                                    std::optional<Streaming>);

}  // namespace imageforge::addon
