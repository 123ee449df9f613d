// 2-D convolution on 8-bit dot products for quantised kernels. The input is quantised once, in blocks of 32
// channels of a pixel with a scale each, and its planes of bytes are then cut into panels like any image: a
// pixel's block is the same under every tap. Outputs are the rows of the register tile, pixels its columns.
#pragma once
#include "conv.h"
#include "int8.h"

namespace imageforge::kernels {
namespace {

/// A pixel's block has cells of 4 bytes, each in a plane of its own: scale, offset, 8 quads of channels. A
/// panel of tile_int8 has the same order.
constexpr int cells_per_block = 2 + block_size / 4;
constexpr int int8_units = int8_kc / block_size;  // blocks of a tap that are packed at a time
constexpr int weight_panel_bytes = x_block_bytes * int8_units;

/// Distance between planes of cells. The skew keeps planes out of each other's cache sets.
inline int64_t cell_plane(const ConvArgs & args) { return args.width * args.height + 5 * 16; }

/// Quantises one block of up to L pixels, whose channels are planes of `plane` floats.
inline void quantise_pixels(const float * x, int64_t plane, int n, float * cells, int64_t to_plane) {
    const auto at = [=](int channel) {
        return n == L ? load(x + channel * plane) : load_n(x + channel * plane, n);
    };
    const auto put = [=](int cell, F v) {
        n == L ? store(cells + cell * to_plane, v) : store_n(cells + cell * to_plane, n, v);
    };
    F top = zero();
    for (int c = 0; c < block_size; c++) top = max(top, abs(at(c)));
    put(0, mul(top, set1(1.0f / 127)));
    const F factor = div(set1(127.0f), max(top, set1(1e-30f)));
    const I ones = splat4("\1\1\1\1");
    I total = zero_i();
    for (int c = 0; c < block_size; c += 4) {
        const I quads = signed_quads(round(mul(at(c), factor)), round(mul(at(c + 1), factor)),
                                     round(mul(at(c + 2), factor)), round(mul(at(c + 3), factor)));
        put(2 + c / 4, as_cells(quads));
        total = dot4(total, ones, quads);
    }
    put(1, as_cells(offset_of(total)));
}

/// The whole input as cells [image][block][cell][pixel], shared out among the team.
inline void quantise_image(const ConvArgs & args, float * cells, Team & team) {
    constexpr int64_t chunk = 1024;
    const int64_t plane = args.width * args.height, to_plane = cell_plane(args);
    const int64_t chunks = parts(plane, chunk);
    const int64_t blocks = args.batch * args.in / block_size;
    for (int64_t item; (item = team.claim()) < blocks * chunks && !team.stopped();) {
        const int64_t block = item / chunks, begin = item % chunks * chunk;
        for (int64_t p = begin; p < lesser(plane, begin + chunk); p += L) {
            quantise_pixels(args.x + block * block_size * plane + p, plane,
                            static_cast<int>(lesser<int64_t>(L, plane - p)),
                            cells + block * cells_per_block * to_plane + p, to_plane);
        }
    }
}

/// Up to int8_rows weight rows, units [unit, unit + units) counted as (tap, block), as one panel of
/// tile_int8's broadcast side.
inline void pack_kernels(const WeightView & w, int64_t row, int rows, int64_t unit, int64_t units,
                         uint8_t * to) {
    alignas(64) int8_t q[int8_rows][int8_kc];
    float scales[int8_rows][int8_units];
    for (int r = 0; r < int8_rows; r++)
        unpack_bytes(w, row + lesser(r, rows - 1), unit * block_size, units * block_size, q[r], scales[r]);
    constexpr uint32_t flip = x_offset ? 0x80808080u : 0;
    for (int64_t u = 0; u < units; u++, to += x_block_bytes) {
        for (int k = 0; k < block_size / 4; k++) {
            for (int r = 0; r < int8_rows; r++) {
                uint32_t four;
                __builtin_memcpy(&four, q[r] + u * block_size + k * 4, 4);
                four ^= flip;
                __builtin_memcpy(to + (k * int8_rows + r) * 4, &four, 4);
            }
        }
        for (int r = 0; r < int8_rows; r++)
            __builtin_memcpy(to + int8_rows * block_size + r * 4, &scales[r][u], 4);
    }
}

/// Output pixels [pixel, pixel + count) of one image as a panel of tile_int8's other side.
inline void pack_cells(const ConvArgs & args, const float * cells, int64_t pixel, int64_t count, int vectors,
                       int64_t unit, int64_t units, float * to) {
    const int width = vectors * L;
    const int64_t plane = cell_plane(args), blocks = args.in / block_size;
    PixelRun runs[NR];
    const int run_count = find_runs(args, pixel, count, runs);
    for (int64_t u = unit; u < unit + units; u++) {
        const int tap = static_cast<int>(u / blocks);
        const float * block = cells + u % blocks * cells_per_block * plane;
        for (int cell = 0; cell < cells_per_block; cell++, block += plane, to += width) {
            copy_runs(args, runs, run_count, block, tap / args.kernel_w, tap % args.kernel_w, to);
            if (count < width) zero_floats(to + count, width - count);
        }
    }
}

/// How outputs and panels of pixels (of all images, one behind the other) are cut into items for the team.
struct ConvGrid {
    int64_t per_image, panels, row_parts, panel_parts, row_size, panel_size;

    ConvGrid(const ConvArgs & args, int team) {
        constexpr int64_t most_rows = 640;  // their packed weights stay in L2
        per_image = parts(args.out_width * args.out_height, NR);
        panels = args.batch * per_image;
        row_parts = parts(args.out, most_rows);
        panel_parts = 1;
        while (team > 1 && row_parts * panel_parts < 4 * team) {
            if (panels / panel_parts >= 16) {
                panel_parts++;
            } else if (args.out / row_parts >= 64) {
                row_parts++;
            } else {
                break;
            }
        }
        row_size = round_up(parts(args.out, row_parts), int8_rows);
        panel_size = parts(panels, panel_parts);
        row_parts = parts(args.out, row_size);
        panel_parts = parts(panels, panel_size);
    }
    int64_t items() const { return row_parts * panel_parts; }
};

/// Outputs [row0, row1) of the panels [panel0, panel1).
inline void conv2d_int8_item(const ConvArgs & args, const ConvGrid & grid, const float * cells, int64_t row0,
                             int64_t row1, int64_t panel0, int64_t panel1, uint8_t * weights, float * patches,
                             const Team & team) {
    const int64_t pixels = args.out_width * args.out_height, blocks = args.in / block_size;
    const int64_t image_cells = blocks * cells_per_block * cell_plane(args);
    const int64_t all_units = args.kernel_w * args.kernel_h * blocks;
    for (int64_t unit = 0; unit < all_units && !team.stopped(); unit += int8_units) {
        const int64_t units = lesser<int64_t>(int8_units, all_units - unit);
        for (int64_t row = row0; row < row1; row += int8_rows) {
            pack_kernels(args.weight, row, static_cast<int>(lesser<int64_t>(int8_rows, row1 - row)), unit,
                         units, weights + (row - row0) / int8_rows * weight_panel_bytes);
        }
        for (int64_t panel = panel0; panel < panel1; panel++) {
            const int64_t image = panel / grid.per_image, pixel = panel % grid.per_image * NR;
            const int64_t count = lesser<int64_t>(NR, pixels - pixel);
            const int vectors = vectors_of(count);
            pack_cells(args, cells + image * image_cells, pixel, count, vectors, unit, units, patches);
            const TileInt8 tile = tile_int8_of(vectors);
            for (int64_t row = row0; row < row1; row += int8_rows) {
                tile(units, weights + (row - row0) / int8_rows * weight_panel_bytes,
                     reinterpret_cast<const uint8_t *>(patches),
                     args.y + (image * args.out + row) * pixels + pixel, pixels,
                     static_cast<int>(lesser<int64_t>(int8_rows, row1 - row)), static_cast<int>(count),
                     unit > 0, unit == 0 && args.bias ? args.bias + row : nullptr, nullptr);
            }
        }
    }
}

void conv2d_int8(const ConvArgs & original, Team & team) {
    const ConvArgs args = without_rows(original);
    const size_t cells_count = args.batch * args.in / block_size * cells_per_block * cell_plane(args);
    Scratch shared(team.index == 0 ? cells_count * sizeof(float) : 0);
    float * cells = static_cast<float *>(team.share(shared.data()));
    quantise_image(args, cells, team);
    team.barrier();
    const ConvGrid grid(args, team.size);
    const size_t weight_bytes = grid.row_size / int8_rows * weight_panel_bytes;
    Scratch scratch(weight_bytes + sizeof(float) * NR * cells_per_block * int8_units);
    uint8_t * weights = static_cast<uint8_t *>(scratch.data());
    float * patches = reinterpret_cast<float *>(weights + weight_bytes);
    for (int64_t item; (item = team.claim()) < grid.items() && !team.stopped();) {
        const int64_t row = item % grid.row_parts * grid.row_size;
        const int64_t panel = item / grid.row_parts * grid.panel_size;
        conv2d_int8_item(args, grid, cells, row, lesser(args.out, row + grid.row_size), panel,
                         lesser(grid.panels, panel + grid.panel_size), weights, patches, team);
    }
    team.barrier();  // thread 0 owns the buffer that all have read
}

}  // namespace
}  // namespace imageforge::kernels
