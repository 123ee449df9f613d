// Runs RRDBNet as an upscaler.
#include "core/error.h"
#include "models/rrdbnet/rrdbnet.h"
#include "models/shapes.h"

namespace imageforge::rrdbnet {

namespace {

/// Blocks of n x n pixels become channels: [W, H, C] in [-1, 1] -> [W / n, H / n, C n n] in [0, 1].
HostTensor pack(const HostTensor & image, int64_t n) {
    const int64_t width = image.shape[0], height = image.shape[1], channels = image.shape[2];
    HostTensor packed = {{width / n, height / n, channels * n * n}, std::vector<float>(image.data.size())};
    float * to = packed.data.data();
    for (int64_t c = 0; c < channels; c++)
        for (int64_t dy = 0; dy < n; dy++)
            for (int64_t dx = 0; dx < n; dx++)
                for (int64_t y = dy; y < height; y += n) {
                    const float * row = image.data.data() + (c * height + y) * width;
                    for (int64_t x = dx; x < width; x += n) *to++ = row[x] * 0.5f + 0.5f;
                }
    return packed;
}

class Upscaler : public UpscalerNetwork {
public:
    Upscaler(const Config & config, Weights w) : network_(Settings(config), w) {}

    HostTensor upscale(Runner & runner, const HostTensor & image) override {
        const int64_t n = network_.settings.shuffle;
        require_image(image, n, "rrdbnet");
        const HostTensor packed = pack(image, n);
        auto build = [&](GraphBuilder & graph) {
            Tensor x = graph.input("image", {packed.shape[0], packed.shape[1], packed.shape[2], 1});
            Tensor larger = network_.forward(graph.ctx(), x);
            graph.output("larger", ggml_scale_bias(graph.ctx().graph, larger, 2, -1));
        };
        Outputs outputs = runner.run("upscale " + size_text(image), build, {{"image", packed}});
        return as_image(std::move(outputs.at("larger")));
    }

private:
    RrdbNet network_;
};

}  // namespace

std::unique_ptr<UpscalerNetwork> make(const Config & config, Weights weights) {
    return std::make_unique<Upscaler>(config, weights);
}

}  // namespace imageforge::rrdbnet
