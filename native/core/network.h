// The interface of a network for the program that drives it (the addon, a test, a benchmark), and the
// functions that make one by its kind. A network is constructed from its configuration and its place in the
// tensor table, which declares its weights. Everything it computes goes through a Runner.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/runner.h"
#include "core/weights.h"

namespace imageforge {

// ---- text encoders

struct EncodeOptions {
    std::vector<int> layers;    // counts of transformer blocks that have run; empty: after the last
    bool norm = true;           // the final norm on each state
    bool project = true;        // the pooled state through the text projection, where there is one
    std::vector<uint8_t> mask;  // one per token, 0 = padding; empty: all count
    // [width, n]: textual inversion (CLIP); token `vocab + i` stands for row i
    std::optional<HostTensor> embeddings;
};

struct Encoding {
    std::vector<HostTensor> hidden;    // [width, tokens], one per requested layer
    std::optional<HostTensor> pooled;  // [width]
};

class TextEncoderNetwork {
public:
    virtual ~TextEncoderNetwork() = default;
    virtual Encoding encode(Runner & runner, const std::vector<int32_t> & tokens,
                            const EncodeOptions & options) = 0;
};

// ---- denoisers

struct ConditioningInputs {
    HostTensor context;                // [width, tokens]
    std::optional<HostTensor> vector;  // [width]
    std::optional<float> guidance;
    std::optional<HostTensor> concat;    // [W, H, channels]
    std::vector<HostTensor> references;  // [W, H, channels] each
};

/// What a denoiser keeps of its inputs for all steps. `kept` is on the device: what every step reads, such as
/// text states or the cross-attention keys and values made of them. `inputs` has what is cheap to pass again.
struct Conditioning {
    std::string shape;  // conditionings of equal `shape` fit into one batch (set by the network)
    DeviceTensors kept;
    DeviceTensors picture;  // a ControlNet's hint, shared by all prompts
    ConditioningInputs inputs;
    uint64_t lora_generation = 0;  // set by the caller: a conditioning made before setLoras() is stale
};

/// One forward pass: its conditioning, and the residuals of a ControlNet (see ControlNetwork).
struct Pass {
    const Conditioning * conditioning;
    const DeviceTensors * residuals = nullptr;
};

class DenoiserNetwork {
public:
    virtual ~DenoiserNetwork() = default;
    virtual std::unique_ptr<Conditioning> condition(Runner & runner, ConditioningInputs inputs) = 0;
    /// Passes over the latent [W, H, channels] whose conditionings all have the same `shape`, with residuals
    /// in all or in none; returns one prediction each. Called with as many passes as fit into memory.
    virtual std::vector<HostTensor> predict(Runner & runner, const HostTensor & latent, float timestep,
                                            const std::vector<Pass> & batch) = 0;
};

/// Groups the passes by shape and predicts each group as one batch, or one by one where the batch doesn't
/// fit into memory. Results in the order of `passes`.
std::vector<HostTensor> predict_all(DenoiserNetwork & network, Runner & runner, const HostTensor & latent,
                                    float timestep, const std::vector<Pass> & passes);

// ---- ControlNets

class ControlNetwork {
public:
    virtual ~ControlNetwork() = default;
    /// Reads the picture [W, H, 3] in [-1, 1] and the prompts once for all steps; one conditioning each.
    virtual std::vector<std::unique_ptr<Conditioning>> condition(Runner & runner, const HostTensor & picture,
                                                                 std::vector<ConditioningInputs> prompts) = 0;
    /// The residuals, times `strength`, that the denoiser adds when it predicts from this latent under the
    /// same prompts. One set on the device for each conditioning, named by residual_name(). `batch` as in
    /// DenoiserNetwork::predict.
    virtual std::vector<DeviceTensors> steer(Runner & runner, const HostTensor & latent, float timestep,
                                             const std::vector<const Conditioning *> & batch,
                                             float strength) = 0;
};

/// Place 0 is the first skip connection, the last one the middle block.
inline std::string residual_name(size_t place) { return "residual " + std::to_string(place); }

/// In batches as predict_all.
std::vector<DeviceTensors> steer_all(ControlNetwork & network, Runner & runner, const HostTensor & latent,
                                     float timestep, const std::vector<const Conditioning *> & conditionings,
                                     float strength);

// ---- autoencoders

struct Posterior {
    HostTensor mean;                // [w, h, channels], in latent space (scaled, shifted)
    std::optional<HostTensor> std;  // the same shape
};

class AutoencoderNetwork {
public:
    virtual ~AutoencoderNetwork() = default;
    /// image [W, H, 3] in [-1, 1]
    virtual Posterior encode(Runner & runner, const HostTensor & image) = 0;
    /// -> [W, H, 3], unclamped
    virtual HostTensor decode(Runner & runner, const HostTensor & latent) = 0;
};

// ---- upscalers

class UpscalerNetwork {
public:
    virtual ~UpscalerNetwork() = default;
    /// image [W, H, 3] in [-1, 1] -> the same picture, larger, unclamped
    virtual HostTensor upscale(Runner & runner, const HostTensor & image) = 0;
};

// ---- the lists of networks (native/models/registry.cpp); an unknown kind is UNSUPPORTED, and the error
// names the known ones

std::unique_ptr<TextEncoderNetwork> make_text_encoder(const std::string & kind, const Config & config,
                                                      Weights weights);
std::unique_ptr<DenoiserNetwork> make_denoiser(const std::string & kind, const Config & config,
                                               Weights weights);
std::unique_ptr<ControlNetwork> make_control_net(const std::string & kind, const Config & config,
                                                 Weights weights);
std::unique_ptr<AutoencoderNetwork> make_autoencoder(const std::string & kind, const Config & config,
                                                     Weights weights);
std::unique_ptr<UpscalerNetwork> make_upscaler(const std::string & kind, const Config & config,
                                               Weights weights);

}  // namespace imageforge
