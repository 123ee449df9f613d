// Batching of conditionings: one policy for every network that takes them.
#include "core/network.h"

#include <map>

#include "core/error.h"

namespace imageforge {

/// Computes the items of one key as one batch, or one by one where a batch doesn't fit into memory. `compute`
/// takes indices and returns a result for each.
template <typename Result, typename Compute>
static std::vector<Result> compute_in_batches(const std::vector<std::string> & keys, Compute compute) {
    std::map<std::string, std::vector<size_t>> groups;
    for (size_t i = 0; i < keys.size(); ++i) groups[keys[i]].push_back(i);
    std::vector<Result> results(keys.size());
    const auto fill_in = [&](const std::vector<size_t> & places) {
        std::vector<Result> made = compute(places);
        if (made.size() != places.size())
            fail(ErrorCode::Internal, "The network made %zu results for %zu conditionings.", made.size(),
                 places.size());
        for (size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(made[i]);
    };
    for (const auto & group : groups) {
        const auto & places = group.second;
        try {
            fill_in(places);
        } catch (const Error & error) {
            // Nothing was computed yet, and smaller batches need less memory.
            if (error.code() != ErrorCode::OutOfMemory || places.size() == 1) throw;
            for (const size_t place : places) fill_in({place});
        }
    }
    return results;
}

std::vector<HostTensor> predict_all(DenoiserNetwork & network, Runner & runner, const HostTensor & latent,
                                    float timestep, const std::vector<Pass> & passes) {
    std::vector<std::string> keys;
    for (const Pass & pass : passes)
        keys.push_back(pass.conditioning->shape + (pass.residuals ? " controlled" : ""));
    return compute_in_batches<HostTensor>(keys, [&](const std::vector<size_t> & places) {
        std::vector<Pass> batch;
        for (const size_t i : places) batch.push_back(passes[i]);
        return network.predict(runner, latent, timestep, batch);
    });
}

std::vector<DeviceTensors> steer_all(ControlNetwork & network, Runner & runner, const HostTensor & latent,
                                     float timestep, const std::vector<const Conditioning *> & conditionings,
                                     float strength) {
    std::vector<std::string> keys;
    for (const Conditioning * conditioning : conditionings) keys.push_back(conditioning->shape);
    return compute_in_batches<DeviceTensors>(keys, [&](const std::vector<size_t> & places) {
        std::vector<const Conditioning *> batch;
        for (const size_t i : places) batch.push_back(conditionings[i]);
        return network.steer(runner, latent, timestep, batch, strength);
    });
}

}  // namespace imageforge
