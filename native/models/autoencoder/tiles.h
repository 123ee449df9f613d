// Large pictures in bounded memory: the fine levels of an autoencoder, tile by tile. Tiles overlap by as much
// as the convolutions reach, and their group norms share statistics that are measured before: there is no
// seam to blend. The statistics come from a mosaic of samples of the picture, which is the whole picture
// where it is small.
#pragma once
#include <functional>
#include <string>

#include "core/runner.h"

namespace imageforge::autoencoder {

/// `count` tiles of one length that cover an axis; neighbours overlap by two halos at least.
struct TiledAxis {
    int64_t size, count, length;

    TiledAxis(int64_t size, int64_t count, int64_t halo);
    int64_t begin(int64_t i) const;
    /// Where a tile's own part of the result begins, half way through the overlap; that of tile `count` is
    /// the axis' end.
    int64_t keep_from(int64_t i) const;
};

struct Tiles {
    TiledAxis x, y;
    uint64_t bytes;  // of the compute buffer for one of them

    int64_t count() const { return x.count * y.count; }
};

/// What is computed tile by tile. Axes are counted in cells, which are `in_scale` wide in the input and
/// `out_scale` in the result.
struct TiledPart {
    std::string name;  // of its graphs
    int64_t in_scale, out_scale, in_channels;
    int64_t halo;  // cells that reach into a cell from each side
    std::function<Tensor(const Ctx & ctx, Tensor x)> forward;

    /// The fewest tiles for which the compute buffer stays within `budget`, or the smallest that make sense.
    Tiles choose(Runner & runner, int64_t width, int64_t height, uint64_t budget) const;
    /// input [W, H, in_channels] -> [W', H', out_channels]
    HostTensor run(Runner & runner, const Tiles & tiles, const HostTensor & input) const;

private:
    std::vector<HostTensor> measure_statistics(Runner & runner, const Tiles & tiles,
                                               const HostTensor & input) const;
};

}  // namespace imageforge::autoencoder
