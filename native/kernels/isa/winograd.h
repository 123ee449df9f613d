// 3 x 3 convolution with stride 1 as Winograd's F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks"): a quarter of the multiplications. Input tiles of 6 x 6 become 36 values
// each, which makes 36 matrix products [out, in] x [in, tiles]; vectors run over tiles, or over outputs where
// an image has few tiles. Tiles pass in chunks, so memory stays bounded.
#pragma once
#include "conv.h"

namespace imageforge::kernels {
namespace {

constexpr int positions = 36;
constexpr int plane_skew = 5 * L;  // keeps the 36 planes of a buffer out of each other's cache sets

/// Bᵀ d for one row or column of a tile.
inline void transform_input(const F * d, F * t) {
    const F four = set1(4.0f), minus_four = set1(-4.0f), minus_five = set1(-5.0f), two = set1(2.0f);
    const F a = fma(minus_four, d[2], d[4]), b = fma(minus_four, d[1], d[3]);
    const F c = sub(d[4], d[2]), e = mul(two, sub(d[3], d[1]));
    t[0] = fma(four, d[0], fma(minus_five, d[2], d[4]));
    t[1] = add(a, b);
    t[2] = sub(a, b);
    t[3] = add(c, e);
    t[4] = sub(c, e);
    t[5] = fma(four, d[1], fma(minus_five, d[3], d[5]));
}

/// G g.
inline void transform_weight(F g0, F g1, F g2, F * t) {
    const F sixth = set1(1.0f / 6), twelfth = set1(1.0f / 12), minus_sixth = set1(-1.0f / 6);
    const F outer = add(g0, g2), far = fma(set1(1.0f / 24), g0, mul(sixth, g2)), near = mul(twelfth, g1);
    t[0] = mul(set1(0.25f), g0);
    t[1] = mul(minus_sixth, add(outer, g1));
    t[2] = mul(minus_sixth, sub(outer, g1));
    t[3] = add(far, near);
    t[4] = sub(far, near);
    t[5] = g2;
}

/// Aᵀ m.
inline void transform_output(const F * m, F * y) {
    const F a = add(m[1], m[2]), b = sub(m[1], m[2]), c = add(m[3], m[4]), d = sub(m[3], m[4]);
    y[0] = add(m[0], add(a, c));
    y[1] = fma(set1(2.0f), d, b);
    y[2] = fma(set1(4.0f), c, a);
    y[3] = add(fma(set1(8.0f), d, b), m[5]);
}

/// Sizes of one convolution and of its current chunk of tile rows.
struct Winograd {
    const ConvArgs & args;
    int64_t tiles_x, tile_rows;       // per tile row; of all images together
    int64_t chunk_rows, chunk_count;  // tile rows in a chunk
    bool few_tiles;  // vectors over tiles would be mostly empty: they run over outputs instead
    int64_t out_block, channel_block;
    int64_t first_row = 0, rows = 0, tiles = 0, padded = 0;  // of the current chunk; padded to whole panels

    Winograd(const ConvArgs & args, int team) : args(args) {
        constexpr int64_t budget = 24 << 20;  // bytes of transformed input
        tiles_x = parts(args.out_width, 4);
        tile_rows = args.batch * parts(args.out_height, 4);
        const int64_t wanted = lesser<int64_t>(384, budget / (positions * 4 * args.in));
        chunk_rows = lesser(tile_rows, greater<int64_t>(1, wanted / tiles_x));
        chunk_count = parts(tile_rows, chunk_rows);
        chunk_rows = parts(tile_rows, chunk_count);
        // The order of summation depends on a single image, so that a picture is the same alone and in a
        // batch.
        const int64_t image_tiles = tiles_x * parts(args.out_height, 4);
        few_tiles = image_tiles <= L;
        // With few tiles the transformed weights are most of the data, and these sizes keep them in L2.
        const int64_t channels = few_tiles ? 96 : image_tiles < 96 ? 160 : 256;
        channel_block = round_up(parts(args.in, parts(args.in, channels)), args.weight.block);
        out_block = few_tiles ? NR : chunk_rows * tiles_x < 96 ? pack_group : 64;
        while (!few_tiles && out_block > pack_group && parts(args.out, out_block) < 4 * team) out_block /= 2;
    }
    void begin_chunk(int64_t index) {
        first_row = index * chunk_rows;
        rows = lesser(chunk_rows, tile_rows - first_row);
        tiles = rows * tiles_x;
        padded = round_up(tiles, pack_group);
    }
    int64_t input_plane() const { return args.in * round_up(chunk_rows * tiles_x, pack_group) + plane_skew; }
    int64_t weight_plane() const { return out_block * channel_block + plane_skew; }
    int64_t product_plane() const {
        return out_block * round_up(chunk_rows * tiles_x, pack_group) + plane_skew;
    }
    int64_t row_floats() const { return round_up(4 * tiles_x + 4, L) + L; }
    int64_t line_floats() const { return 4 * (round_up(chunk_rows * tiles_x, pack_group) + L); }
    /// Values unpacked for L rows: a step's channels as stored, and separated by tap.
    int64_t unpacked_row() const { return 10 * greater(args.weight.block, 32); }

    size_t shared_bytes() const { return sizeof(float) * positions * input_plane(); }
    size_t thread_bytes() const {
        const int64_t input = 12 * row_floats() + 12 * line_floats();
        const int64_t output =
            positions * (weight_plane() + product_plane()) + L * unpacked_row() + 4 * line_floats();
        return sizeof(float) * greater(input, output);
    }
};

/// The horizontal half of the input transform for L tiles, whose first four columns lie at `near` and last
/// two at `far` (4 floats a tile, `stride` from one of the 6 lines to the next): keep(position, values).
template <typename Keep>
inline void transform_lines(const float * near, const float * far, int64_t stride, Keep keep) {
    for (int i = 0; i < 6; i++) {
        F d[8], t[6];
        load_strided4(near + i * stride, d);
        load_strided4(far + i * stride, d + 4);
        transform_input(d, t);
        for (int j = 0; j < 6; j++) keep(6 * i + j, t[j]);
    }
}

/// Transforms one channel of the chunk's tiles into `planes`: [position][panel][channel][tile in panel], with
/// panels of NR tiles, or of MR where vectors run over outputs.
inline void transform_channel(const Winograd & w, int64_t channel, float * planes, float * scratch) {
    const ConvArgs & args = w.args;
    const int64_t row_floats = w.row_floats(), line = w.line_floats(), plane = w.input_plane();
    const int64_t tiles_y = parts(args.out_height, 4), width = 4 * w.tiles_x;
    const int shift = args.upsample2 ? 1 : 0;
    float *source = scratch, *vertical = source + 6 * row_floats;
    float *near = vertical + 6 * row_floats, *far = near + 6 * line;
    const auto put = [&](int64_t tile, const float * near_at, const float * far_at, int64_t stride) {
        if (w.few_tiles) {
            float * low = planes + tile / MR * MR * args.in + channel * MR + tile % MR;
            transform_lines(near_at, far_at, stride,
                            [=](int p, F v) { store_rows(low + p * plane, MR * args.in, v); });
        } else {
            const int64_t panel = tile / NR * NR;
            float * to =
                planes + panel * args.in + channel * vectors_of(w.padded - panel) * L + (tile - panel);
            transform_lines(near_at, far_at, stride, [=](int p, F v) { store(to + p * plane, v); });
        }
    };
    for (int64_t r = 0; r < w.rows; r++) {
        const int64_t image = (w.first_row + r) / tiles_y, ty = (w.first_row + r) % tiles_y;
        const float * pixels = args.x + (image * args.in + channel) * args.width * args.height;
        for (int i = 0; i < 6; i++) {
            const int64_t y = 4 * ty + i - args.pad_top;
            if (y < 0 || y >= args.height << shift) {
                zero_floats(source + i * row_floats, width + 4);
            } else {
                copy_pixels(args, pixels + (y >> shift) * args.width, -args.pad_left,
                            static_cast<int>(width + 4), source + i * row_floats);
            }
        }
        for (int64_t x = 0; x < width + 4; x += L) {
            F d[6], t[6];
            for (int i = 0; i < 6; i++) d[i] = load(source + i * row_floats + x);
            transform_input(d, t);
            for (int i = 0; i < 6; i++) store(vertical + i * row_floats + x, t[i]);
        }
        if (w.tiles_x % L == 0) {
            for (int64_t x = 0; x < w.tiles_x; x += L) {
                put(r * w.tiles_x + x, vertical + 4 * x, vertical + 4 * x + 4, row_floats);
            }
        } else {  // rows are concatenated, so that vectors run across them
            for (int i = 0; i < 6; i++) {
                copy_floats(near + i * line + r * width, vertical + i * row_floats, width);
                copy_floats(far + i * line + r * width, vertical + i * row_floats + 4, width);
            }
        }
    }
    if (w.tiles_x % L == 0) return;
    for (int64_t tile = 0; tile < w.padded; tile += L) put(tile, near + 4 * tile, far + 4 * tile, line);
}

/// Weights of outputs [out0, out0 + outs) and channels [c0, c0 + channels): keep(first output, channel,
/// position, values of L outputs), counted from out0 and c0.
template <typename Keep>
inline void transform_weights(const Winograd & w, int64_t out0, int64_t outs, int64_t c0, int64_t channels,
                              float * unpacked, Keep keep) {
    const int64_t step = greater(w.args.weight.block, 32);
    const auto transform = [=](int64_t g, int64_t c, const F * taps) {
        F columns[3][6], t[6];
        for (int j = 0; j < 3; j++) transform_weight(taps[j], taps[3 + j], taps[6 + j], columns[j]);
        for (int i = 0; i < 6; i++) {
            transform_weight(columns[0][i], columns[1][i], columns[2][i], t);
            for (int j = 0; j < 6; j++) keep(g, c, 6 * i + j, t[j]);
        }
    };
    for (int64_t g = 0; g < outs; g += L) {
        const int count = static_cast<int>(lesser<int64_t>(L, outs - g));
        for (int64_t c = 0; c < channels; c += step) {
            const int64_t here = lesser(step, channels - c);
            F taps[9];
            if (channels_fastest(w.args)) {
                float * by_tap = unpacked + L * step;
                for (int tap = 0; tap < 9; tap++) {
                    float * to = by_tap + tap * step * L;
                    transpose_rows(
                        w.args.weight, out0 + g, count, tap * w.args.in + c0 + c, here, unpacked,
                        [=](int64_t k, F v) { store(to + k * L, v); }, step);
                }
                for (int64_t k = 0; k < here; k++) {
                    for (int tap = 0; tap < 9; tap++) taps[tap] = load(by_tap + (tap * step + k) * L);
                    transform(g, c + k, taps);
                }
                continue;
            }
            transpose_rows(
                w.args.weight, out0 + g, count, (c0 + c) * 9, here * 9, unpacked,
                [&](int64_t k, F v) {
                    taps[k % 9] = v;
                    if (k % 9 == 8) transform(g, c + k / 9, taps);
                },
                w.unpacked_row());
        }
    }
}

/// One output channel of the chunk: the inverse transform of its 36 products, plus bias, into the image.
inline void write_output(const Winograd & w, int64_t out, const float * products, float * lines) {
    const ConvArgs & args = w.args;
    const int64_t plane = w.product_plane(), line = w.line_floats(), tiles_y = parts(args.out_height, 4);
    const F bias = set1(args.bias ? args.bias[out] : 0.0f);
    for (int64_t tile = 0; tile < w.padded; tile += L) {
        F columns[4][6], m[6], y[4];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++) m[i] = load(products + (6 * i + j) * plane + tile);
            transform_output(m, y);
            for (int i = 0; i < 4; i++) columns[i][j] = y[i];
        }
        for (int i = 0; i < 4; i++) {
            transform_output(columns[i], y);
            for (int j = 0; j < 4; j++) y[j] = add(y[j], bias);
            store_strided4(lines + i * line + 4 * tile, y);
        }
    }
    for (int64_t r = 0; r < w.rows; r++) {
        const int64_t image = (w.first_row + r) / tiles_y, y0 = (w.first_row + r) % tiles_y * 4;
        float * to = args.y + ((image * args.out + out) * args.out_height + y0) * args.out_width;
        for (int64_t i = 0; i < lesser<int64_t>(4, args.out_height - y0); i++) {
            copy_floats(to + i * args.out_width, lines + i * line + r * 4 * w.tiles_x, args.out_width);
        }
    }
}

/// One tile of the chunk for all outputs of a block, whose products have vectors over outputs.
inline void write_tile(const Winograd & w, int64_t tile, int64_t out0, int64_t outs, const float * products,
                       float * line) {
    const ConvArgs & args = w.args;
    const int64_t plane = w.product_plane(), tiles_y = parts(args.out_height, 4);
    const int64_t row = w.first_row + tile / w.tiles_x, x0 = tile % w.tiles_x * 4, y0 = row % tiles_y * 4;
    const int64_t width = lesser<int64_t>(4, args.out_width - x0),
                  height = lesser<int64_t>(4, args.out_height - y0);
    for (int64_t g = 0; g < outs; g += L) {
        const int count = static_cast<int>(lesser<int64_t>(L, outs - g));
        const F bias = args.bias ? load_n(args.bias + out0 + g, count) : zero();
        float * to =
            args.y + ((row / tiles_y * args.out + out0 + g) * args.out_height + y0) * args.out_width + x0;
        F columns[4][6], m[6], y[4];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++) m[i] = load(products + (6 * i + j) * plane + g);
            transform_output(m, y);
            for (int i = 0; i < 4; i++) columns[i][j] = y[i];
        }
        for (int64_t i = 0; i < height; i++) {
            transform_output(columns[i], y);
            for (int j = 0; j < 4; j++) y[j] = add(y[j], bias);
            store_strided4(line, y);
            for (int o = 0; o < count; o++) {
                float * pixels = to + o * args.out_height * args.out_width + i * args.out_width;
                for (int64_t x = 0; x < width; x++) pixels[x] = line[4 * o + x];
            }
        }
    }
}

/// A thread's scratch while it computes outputs.
struct OutputScratch {
    float *weights, *products, *unpacked, *lines;

    OutputScratch(const Winograd & w, float * scratch)
        : weights(scratch),
          products(weights + positions * w.weight_plane()),
          unpacked(products + positions * w.product_plane()),
          lines(unpacked + L * w.unpacked_row()) {}
};

/// Outputs [out0, out0 + outs) of the current chunk.
inline void compute_outputs(const Winograd & w, int64_t out0, int64_t outs, const float * input,
                            float * scratch, const Team & team) {
    const auto [weights, products, unpacked, lines] = OutputScratch(w, scratch);
    for (int64_t c0 = 0; c0 < w.args.in; c0 += w.channel_block) {
        const int64_t channels = lesser(w.channel_block, w.args.in - c0);
        if (team.stopped()) return;
        transform_weights(w, out0, outs, c0, channels, unpacked,
                          [&, plane = w.weight_plane()](int64_t o, int64_t c, int p, F v) {
                              float * low = weights + p * plane + o / MR * MR * channels + c * MR + o % MR;
                              store_rows(low, MR * channels, v);
                          });
        for (int p = 0; p < positions; p++) {
            for (int64_t j = 0; j < w.padded; j += NR) {
                const int vectors = vectors_of(w.padded - j);
                const float * panel = input + p * w.input_plane() + j * w.args.in + c0 * vectors * L;
                for (int64_t i = 0; i < outs; i += MR) {
                    tile_of<true>(static_cast<int>(lesser<int64_t>(MR, outs - i)), vectors)(
                        channels, weights + p * w.weight_plane() + i * channels, 0, panel,
                        products + p * w.product_plane() + i * w.padded + j, w.padded, vectors * L, c0 > 0,
                        nullptr, nullptr);
                }
            }
        }
    }
    for (int64_t i = 0; i < outs; i++) write_output(w, out0 + i, products + i * w.padded, lines);
}

/// Outputs [out0, out0 + outs), at most NR, with vectors over outputs: tiles are the rows of the register
/// tile.
inline void compute_outputs_few(const Winograd & w, int64_t out0, int64_t outs, const float * input,
                                float * scratch, const Team & team) {
    const int vectors = vectors_of(outs), width = vectors * L;
    const auto [weights, products, unpacked, lines] = OutputScratch(w, scratch);
    for (int64_t c0 = 0; c0 < w.args.in; c0 += w.channel_block) {
        const int64_t channels = lesser(w.channel_block, w.args.in - c0);
        if (team.stopped()) return;
        transform_weights(w, out0, outs, c0, channels, unpacked,
                          [=, plane = w.weight_plane()](int64_t o, int64_t c, int p, F v) {
                              store(weights + p * plane + c * width + o, v);
                          });
        for (int p = 0; p < positions; p++) {
            for (int64_t i = 0; i < w.tiles; i += MR) {
                tile_of<true>(static_cast<int>(lesser<int64_t>(MR, w.tiles - i)), vectors)(
                    channels, input + p * w.input_plane() + i * w.args.in + c0 * MR, 0,
                    weights + p * w.weight_plane(), products + p * w.product_plane() + i * width, width,
                    width, c0 > 0, nullptr, nullptr);
            }
        }
    }
    for (int64_t i = 0; i < w.tiles; i++) write_tile(w, i, out0, outs, products + i * width, lines);
}

/// Worth it where the transforms are shared by enough channels, and an image fills at least a quarter of a
/// vector with tiles.
inline bool suits_winograd(const ConvArgs & args) {
    const int64_t tiles = parts(args.out_width, 4) * parts(args.out_height, 4);
    return args.kernel_w == 3 && args.kernel_h == 3 && args.stride == 1 && args.in >= 16 && tiles >= L / 4;
}

void conv2d_winograd(const ConvArgs & args, Team & team) {
    constexpr int64_t channels_per_item = 4;
    Winograd w(args, team.size);
    Scratch scratch(w.thread_bytes());
    Scratch shared(team.index == 0 ? w.shared_bytes() : 0);
    float * input = static_cast<float *>(team.share(shared.data()));
    for (int64_t chunk = 0; chunk < w.chunk_count; chunk++) {
        w.begin_chunk(chunk);
        const int64_t channel_items = parts(args.in, channels_per_item),
                      out_items = parts(args.out, w.out_block);
        for (int64_t item; (item = team.claim()) < channel_items && !team.stopped();) {
            for (int64_t c = item * channels_per_item; c < lesser(args.in, (item + 1) * channels_per_item);
                 c++) {
                transform_channel(w, c, input, scratch.floats());
            }
        }
        team.barrier();
        for (int64_t item; (item = team.claim()) < out_items && !team.stopped();) {
            const int64_t out0 = item * w.out_block;
            const auto compute = w.few_tiles ? compute_outputs_few : compute_outputs;
            compute(w, out0, lesser(w.out_block, args.out - out0), input, scratch.floats(), team);
        }
        team.barrier();
    }
}

}  // namespace
}  // namespace imageforge::kernels
