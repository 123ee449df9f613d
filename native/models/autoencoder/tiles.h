// Large pictures in bounded memory: computes the fine levels of an autoencoder tile by tile. Tiles overlap by
// the receptive field of the convolutions, and their group norms share statistics that are measured before,
// so there are no seams to blend. The statistics come from a mosaic of samples of the picture, or from the
// whole of a small picture.
#pragma once
#include <functional>
#include <string>

#include "core/runner.h"

namespace imageforge::autoencoder {

/// `count` tiles of equal length that cover an axis. Neighbours overlap by at least two halos.
struct TiledAxis {
    int64_t size, count, length;

    TiledAxis(int64_t size, int64_t count, int64_t halo);
    int64_t begin(int64_t i) const;
    /// Where a tile's own part of the result begins: in the middle of the overlap. For tile `count`, the end
    /// of the axis.
    int64_t keep_from(int64_t i) const;
};

struct Tiles {
    TiledAxis x, y;
    uint64_t bytes;  // of the compute buffer for one of them

    int64_t count() const { return x.count * y.count; }
};

/// A computation in tiles. Axes count cells, which are `in_scale` wide in the input and `out_scale` in the
/// result.
struct TiledPart {
    std::string name;  // of its graphs
    int64_t in_scale, out_scale, in_channels;
    int64_t halo;  // cells on each side that affect a cell
    std::function<Tensor(const Ctx & ctx, Tensor x)> forward;

    /// The fewest tiles whose compute buffer stays within `budget`, or else the smallest useful tiles.
    Tiles choose(Runner & runner, int64_t width, int64_t height, uint64_t budget) const;
    /// input [W, H, in_channels] -> [W', H', out_channels]
    HostTensor run(Runner & runner, const Tiles & tiles, const HostTensor & input) const;

private:
    std::vector<HostTensor> measure_statistics(Runner & runner, const Tiles & tiles,
                                               const HostTensor & input) const;
};

}  // namespace imageforge::autoencoder
