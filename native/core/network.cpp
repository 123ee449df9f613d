// Batching of conditionings: one policy for every denoiser.
#include "core/network.h"

#include <map>

#include "core/error.h"

namespace imageforge {

std::vector<HostTensor> predict_all(DenoiserNetwork & network, Runner & runner, const HostTensor & latent,
                                    float timestep, const std::vector<const Conditioning *> & conditionings) {
    std::map<std::string, std::vector<size_t>> groups;
    for (size_t i = 0; i < conditionings.size(); ++i) groups[conditionings[i]->shape].push_back(i);
    std::vector<HostTensor> results(conditionings.size());
    const auto predict = [&](const std::vector<size_t> & members) {
        std::vector<const Conditioning *> batch;
        for (const size_t i : members) batch.push_back(conditionings[i]);
        auto predictions = network.predict(runner, latent, timestep, batch);
        if (predictions.size() != members.size())
            fail(ErrorCode::Internal, "The network made %zu predictions for %zu conditionings.",
                 predictions.size(), members.size());
        for (size_t i = 0; i < members.size(); ++i) results[members[i]] = std::move(predictions[i]);
    };
    for (const auto & group : groups) {
        const auto & members = group.second;
        try {
            predict(members);
        } catch (const Error & error) {
            // Refused before anything was computed: less at a time needs less memory.
            if (error.code() != ErrorCode::OutOfMemory || members.size() == 1) throw;
            for (const size_t member : members) predict({member});
        }
    }
    return results;
}

}  // namespace imageforge
