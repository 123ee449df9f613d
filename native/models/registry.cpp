// The lists of networks, by what they are for. A network is a folder here and one entry;
// src/families/networks/index.ts has the same lists.
#include "core/error.h"
#include "core/network.h"
#include "models/autoencoder/autoencoder.h"
#include "models/causal_lm/causal_lm.h"
#include "models/clip/clip.h"
#include "models/controlnet/controlnet.h"
#include "models/flux/flux.h"
#include "models/rrdbnet/rrdbnet.h"
#include "models/t5/t5.h"
#include "models/tiny_autoencoder/tiny_autoencoder.h"
#include "models/unet/unet.h"

namespace imageforge {

template <class Network>
struct Kind {
    const char * name;
    std::unique_ptr<Network> (*make)(const Config & config, Weights weights);
};

static const Kind<TextEncoderNetwork> text_encoders[] = {
    {"clip", clip::make},
    {"t5", t5::make},
    {"causal_lm", causal_lm::make},
};

static const Kind<DenoiserNetwork> denoisers[] = {
    {"unet", unet::make},
    {"flux", flux::make},
};

static const Kind<ControlNetwork> control_nets[] = {
    {"controlnet", controlnet::make},
};

static const Kind<AutoencoderNetwork> autoencoders[] = {
    {"autoencoder", autoencoder::make},
    {"tiny_autoencoder", tiny_autoencoder::make},
};

static const Kind<UpscalerNetwork> upscalers[] = {
    {"rrdbnet", rrdbnet::make},
};

template <class Network, size_t Count>
static std::unique_ptr<Network> make_from(const Kind<Network> (&kinds)[Count], const char * what,
                                          const std::string & kind, const Config & config, Weights weights) {
    std::string known;
    for (const Kind<Network> & candidate : kinds) {
        if (kind == candidate.name) return candidate.make(config, weights);
        known += (known.empty() ? "" : ", ") + std::string(candidate.name);
    }
    fail(ErrorCode::Unsupported, "There is no %s of kind \"%s\"; known are: %s", what, kind.c_str(),
         known.c_str());
}

std::unique_ptr<TextEncoderNetwork> make_text_encoder(const std::string & kind, const Config & config,
                                                      Weights weights) {
    return make_from(text_encoders, "text encoder", kind, config, weights);
}

std::unique_ptr<DenoiserNetwork> make_denoiser(const std::string & kind, const Config & config,
                                               Weights weights) {
    return make_from(denoisers, "denoiser", kind, config, weights);
}

std::unique_ptr<ControlNetwork> make_control_net(const std::string & kind, const Config & config,
                                                 Weights weights) {
    return make_from(control_nets, "ControlNet", kind, config, weights);
}

std::unique_ptr<AutoencoderNetwork> make_autoencoder(const std::string & kind, const Config & config,
                                                     Weights weights) {
    return make_from(autoencoders, "autoencoder", kind, config, weights);
}

std::unique_ptr<UpscalerNetwork> make_upscaler(const std::string & kind, const Config & config,
                                               Weights weights) {
    return make_from(upscalers, "upscaler", kind, config, weights);
}

}  // namespace imageforge
