// Places tiles and samples, cuts them out and puts results together.
#include "models/autoencoder/tiles.h"

#include <algorithm>

#include "models/shapes.h"

namespace imageforge::autoencoder {

namespace {

constexpr int64_t samples_per_axis = 4;
constexpr int64_t smallest_mosaic = 32;  // cells

struct Rectangle {
    int64_t x, y, width, height;
};

/// Copies a region of one tensor [W, H, C] to (x, y) in another with as many channels.
void copy(const HostTensor & source, const Rectangle & from, HostTensor & target, int64_t x, int64_t y) {
    for (int64_t c = 0; c < source.shape[2]; c++) {
        for (int64_t row = 0; row < from.height; row++) {
            const float * line =
                source.data.data() + (c * source.shape[1] + from.y + row) * source.shape[0] + from.x;
            std::copy(line, line + from.width,
                      target.data.data() + (c * target.shape[1] + y + row) * target.shape[0] + x);
        }
    }
}

HostTensor make_image(int64_t width, int64_t height, int64_t channels) {
    return {{width, height, channels}, std::vector<float>(static_cast<size_t>(width * height * channels))};
}

Rectangle scaled(const Rectangle & r, int64_t by) {
    return {r.x * by, r.y * by, r.width * by, r.height * by};
}

/// Evenly spaced samples along an axis, or the whole axis where it is no longer than a tile.
struct SampledAxis {
    int64_t size, count = 1, length;

    SampledAxis(const TiledAxis & axis) : size(axis.size), length(axis.size) {
        const int64_t mosaic = std::max(axis.length, smallest_mosaic);
        if (mosaic >= size) return;
        count = samples_per_axis;
        length = mosaic / count;
    }
    int64_t begin(int64_t i) const { return ((2 * i + 1) * size / count - length) / 2; }
};

std::string norm_name(size_t i) { return "norm " + std::to_string(i); }

}  // namespace

TiledAxis::TiledAxis(int64_t size, int64_t count, int64_t halo)
    : size(size), count(count), length((size + 2 * halo * (count - 1) + count - 1) / count) {}

int64_t TiledAxis::begin(int64_t i) const { return count == 1 ? 0 : i * (size - length) / (count - 1); }

int64_t TiledAxis::keep_from(int64_t i) const {
    if (i == 0) return 0;
    return i == count ? size : (begin(i) + begin(i - 1) + length) / 2;
}

Tiles TiledPart::choose(Runner & runner, int64_t width, int64_t height, uint64_t budget) const {
    Tiles tiles{{width, 1, halo}, {height, 1, halo}, 0};
    while (true) {
        const auto build = [&](GraphBuilder & graph) {
            Tensor x =
                graph.input("tile", {tiles.x.length * in_scale, tiles.y.length * in_scale, in_channels, 1});
            graph.output("result", forward(graph.ctx(), x));
        };
        tiles.bytes = runner.measure(
            name + " measured " + std::to_string(tiles.x.length) + "x" + std::to_string(tiles.y.length),
            build);
        if (tiles.bytes <= budget) return tiles;
        const TiledAxis x(width, tiles.x.count + 1, halo), y(height, tiles.y.count + 1, halo);
        const bool narrower = x.length < tiles.x.length, lower = y.length < tiles.y.length;
        if (!narrower && !lower) return tiles;
        if (narrower && (!lower || tiles.x.length >= tiles.y.length)) {
            tiles.x = x;
        } else {
            tiles.y = y;
        }
    }
}

std::vector<HostTensor> TiledPart::measure_statistics(Runner & runner, const Tiles & tiles,
                                                      const HostTensor & input) const {
    const SampledAxis across(tiles.x), down(tiles.y);
    HostTensor mosaic =
        make_image(across.count * across.length * in_scale, down.count * down.length * in_scale, in_channels);
    for (int64_t j = 0; j < down.count; j++) {
        for (int64_t i = 0; i < across.count; i++) {
            const Rectangle sample{across.begin(i), down.begin(j), across.length, down.length};
            copy(input, scaled(sample, in_scale), mosaic, i * across.length * in_scale,
                 j * down.length * in_scale);
        }
    }
    const auto build = [&](GraphBuilder & graph) {
        size_t count = 0;
        SharedStatistics statistics;
        statistics.measured = [&](Tensor norm) { graph.output(norm_name(count++), norm); };
        Ctx ctx = graph.ctx();
        ctx.statistics = &statistics;
        graph.output("result",
                     forward(ctx, graph.input("tile", {mosaic.shape[0], mosaic.shape[1], in_channels, 1})));
    };
    Outputs outputs = runner.run(name + " statistics " + size_text(mosaic), build, {{"tile", mosaic}});
    std::vector<HostTensor> statistics;
    for (size_t i = 0; outputs.count(norm_name(i)); i++)
        statistics.push_back(std::move(outputs.at(norm_name(i))));
    return statistics;
}

HostTensor TiledPart::run(Runner & runner, const Tiles & tiles, const HostTensor & input) const {
    const std::vector<HostTensor> statistics = measure_statistics(runner, tiles, input);
    Feeds feeds;
    for (size_t i = 0; i < statistics.size(); i++) feeds.emplace(norm_name(i), statistics[i]);
    HostTensor tile = make_image(tiles.x.length * in_scale, tiles.y.length * in_scale, in_channels);
    feeds.emplace("tile", tile);
    const auto build = [&](GraphBuilder & graph) {
        size_t count = 0;
        SharedStatistics shared;
        shared.given = [&](int groups) { return graph.input(norm_name(count++), {2, groups}); };
        Ctx ctx = graph.ctx();
        ctx.statistics = &shared;
        graph.output("result",
                     forward(ctx, graph.input("tile", {tile.shape[0], tile.shape[1], in_channels, 1})));
    };
    HostTensor result;
    for (int64_t j = 0; j < tiles.y.count; j++) {
        for (int64_t i = 0; i < tiles.x.count; i++) {
            const Rectangle whole{tiles.x.begin(i), tiles.y.begin(j), tiles.x.length, tiles.y.length};
            copy(input, scaled(whole, in_scale), tile, 0, 0);
            Outputs outputs = runner.run(name + " tile " + size_text(tile), build, feeds);
            const HostTensor part = as_image(std::move(outputs.at("result")));
            if (result.data.empty())
                result = make_image(tiles.x.size * out_scale, tiles.y.size * out_scale, part.shape[2]);
            const int64_t x = tiles.x.keep_from(i), y = tiles.y.keep_from(j);
            const Rectangle kept{x - whole.x, y - whole.y, tiles.x.keep_from(i + 1) - x,
                                 tiles.y.keep_from(j + 1) - y};
            copy(part, scaled(kept, out_scale), result, x * out_scale, y * out_scale);
        }
    }
    return result;
}

}  // namespace imageforge::autoencoder
