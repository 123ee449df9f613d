// 2-D convolution as a matrix product with outputs as rows and pixels as columns. The panels of B are cut
// straight out of the input planes: no image of unfolded patches ever lies in memory.
#pragma once
#include "gemm.h"

namespace imageforge::kernels {
namespace {

/// A run of neighbouring output pixels of one row within a panel.
struct PixelRun {
    int at, length;
    int64_t y, x;
};

/// to[0, n) = the input row's pixels from x on (in steps of `stride`), zero outside.
inline void copy_pixels(const ConvArgs & args, const float * row, int64_t x, int n, float * to) {
    if (args.stride == 1 && !args.upsample2) {
        const int begin = static_cast<int>(lesser<int64_t>(n, greater<int64_t>(0, -x)));
        const int end = static_cast<int>(greater<int64_t>(begin, lesser<int64_t>(n, args.width - x)));
        if (begin > 0) zero_floats(to, begin);
        copy_floats(to + begin, row + x + begin, end - begin);
        if (end < n) zero_floats(to + end, n - end);
        return;
    }
    const int shift = args.upsample2 ? 1 : 0;
    const int64_t width = args.width << shift;
    for (int i = 0; i < n; i++, x += args.stride) to[i] = x >= 0 && x < width ? row[x >> shift] : 0.0f;
}

/// The runs that output pixels [pixel, pixel + count) fall into; returns how many there are.
inline int find_runs(const ConvArgs & args, int64_t pixel, int64_t count, PixelRun * runs) {
    int run_count = 0;
    for (int at = 0; at < count;) {
        const int64_t y = (pixel + at) / args.out_width, x = (pixel + at) % args.out_width;
        const int length = static_cast<int>(lesser(count - at, args.out_width - x));
        runs[run_count++] = {at, length, y * args.stride - args.pad_top, x * args.stride - args.pad_left};
        at += length;
    }
    return run_count;
}

/// to[0, count) = the values of one input plane under the tap (ky, kx) for the runs' pixels.
inline void copy_runs(const ConvArgs & args, const PixelRun * runs, int run_count, const float * plane,
                      int ky, int kx, float * to) {
    const int shift = args.upsample2 ? 1 : 0;
    for (int i = 0; i < run_count; i++) {
        const PixelRun & run = runs[i];
        const int64_t y = run.y + ky;
        if (y < 0 || y >= args.height << shift) {
            zero_floats(to + run.at, run.length);
        } else {
            copy_pixels(args, plane + (y >> shift) * args.width, run.x + kx, run.length, to + run.at);
        }
    }
}

/// Quantised kernels are stored with channels fastest: [out][ky][kx][in].
inline bool channels_fastest(const ConvArgs & args) { return args.weight.block > 1; }

/// Panel of B: output pixels [pixel, pixel + count), inner indices [k0, k0 + kc) in the weights' own order.
inline void pack_patches(const ConvArgs & args, const float * image, int64_t pixel, int64_t count,
                         int vectors, int64_t k0, int64_t kc, float * to) {
    const int width = vectors * L;
    PixelRun runs[NR];
    const int run_count = find_runs(args, pixel, count, runs);
    const int taps = args.kernel_w * args.kernel_h;
    const bool by_tap = channels_fastest(args);
    int64_t channel = by_tap ? k0 % args.in : k0 / taps;
    int tap = static_cast<int>(by_tap ? k0 / args.in : k0 % taps);
    for (int64_t k = 0; k < kc; k++, to += width) {
        copy_runs(args, runs, run_count, image + channel * args.width * args.height, tap / args.kernel_w,
                  tap % args.kernel_w, to);
        if (count < width) zero_floats(to + count, width - count);
        if (by_tap && ++channel == args.in) {
            channel = 0;
            tap++;
        } else if (!by_tap && ++tap == taps) {
            tap = 0;
            channel++;
        }
    }
}

/// A 1 x 1 convolution of stride 1 has no need of rows: its pixels are one long run.
inline ConvArgs without_rows(ConvArgs args) {
    if (args.kernel_w == 1 && args.kernel_h == 1 && args.stride == 1 && args.pad_left == 0 &&
        args.pad_top == 0 && !args.upsample2 && args.out_width == args.width &&
        args.out_height == args.height) {
        args.out_width = args.width = args.width * args.height;
        args.out_height = args.height = 1;
    }
    return args;
}

void conv2d_direct(const ConvArgs & original, Team & team) {
    const ConvArgs args = without_rows(original);
    const int64_t pixels = args.out_width * args.out_height;
    const Grid grid(args.out, pixels, args.batch, team.size);
    Scratch scratch(GemmBuffers::bytes());
    const GemmBuffers buffers(scratch);
    for (int64_t item; (item = team.claim()) < grid.items() * args.batch && !team.stopped();) {
        const int64_t n = item / grid.items(), cell = item % grid.items();
        const int64_t row = cell % grid.row_parts * grid.row_size;
        const int64_t column = cell / grid.row_parts * grid.column_size;
        const float * image = args.x + n * args.in * args.width * args.height;
        const Output output{args.y + n * args.out * pixels, pixels, args.bias, nullptr};
        gemm(
            row, lesser(args.out, row + grid.row_size), column, lesser(pixels, column + grid.column_size),
            args.weight.columns, inner_block(args.weight.columns, args.weight.block), output, buffers, team,
            [&](int64_t i, int64_t count, int64_t k0, int64_t kc, float * to) {
                pack_a(args.weight, i, count, k0, kc, to, buffers.unpacked);
            },
            [&](int64_t j, int64_t count, int vectors, int64_t k0, int64_t kc, float * to) {
                pack_patches(args, image, j, count, vectors, k0, kc, to);
            });
    }
}

}  // namespace
}  // namespace imageforge::kernels
