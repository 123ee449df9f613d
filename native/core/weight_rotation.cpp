// Orthogonal fine-tuning. A block Q becomes the rotation (I + S) (I - S)^-1 of S = Q - Q^T (Cayley's form).
// OFT has one layer of blocks along the weight's rows. BOFT has several, each over rows that lie further
// apart.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/weight_delta.h"

namespace imageforge {

namespace {

/// Rotations of one size, one behind the other.
struct Blocks {
    bool layered;  // butterflies
    int64_t layers, count, size;
    std::vector<float> values;

    const float * at(int64_t layer, int64_t block) const {
        return &values[static_cast<size_t>((layer * count + block) * size * size)];
    }
};

/// Solves X (I - S) = (I + S) for one block by Gauss and Jordan: I - S is never singular.
void solve_cayley(float * block, int64_t n) {
    const auto at = [n](int64_t row, int64_t column) { return static_cast<size_t>(row * n + column); };
    // transposed: (I - S)^T X^T = (I + S)^T, which is (I + S) X^T = (I - S)
    std::vector<double> left(static_cast<size_t>(n * n)), right(left.size());
    for (int64_t r = 0; r < n; ++r)
        for (int64_t c = 0; c < n; ++c) {
            const double unit = r == c ? 1 : 0;
            left[at(r, c)] = unit + block[at(r, c)];
            right[at(r, c)] = unit - block[at(r, c)];
        }
    for (int64_t pivot = 0; pivot < n; ++pivot) {
        int64_t best = pivot;
        for (int64_t r = pivot + 1; r < n; ++r)
            if (std::fabs(left[at(r, pivot)]) > std::fabs(left[at(best, pivot)])) best = r;
        for (int64_t c = 0; best != pivot && c < n; ++c) {
            std::swap(left[at(best, c)], left[at(pivot, c)]);
            std::swap(right[at(best, c)], right[at(pivot, c)]);
        }
        const double divisor = left[at(pivot, pivot)];
        for (int64_t c = 0; c < n; ++c) {
            left[at(pivot, c)] /= divisor;
            right[at(pivot, c)] /= divisor;
        }
        for (int64_t r = 0; r < n; ++r) {
            const double factor = left[at(r, pivot)];
            if (r == pivot || factor == 0) continue;
            for (int64_t c = 0; c < n; ++c) {
                left[at(r, c)] -= factor * left[at(pivot, c)];
                right[at(r, c)] -= factor * right[at(pivot, c)];
            }
        }
    }
    for (int64_t r = 0; r < n; ++r)
        for (int64_t c = 0; c < n; ++c) block[at(c, r)] = static_cast<float>(right[at(r, c)]);
}

Blocks read_blocks(const WeightChange & change, const ReadFactor & read, int threads, int64_t rows) {
    Factor found = read(change.factors.at("blocks"));
    const auto & shape = found.shape;
    const bool layered = shape.size() == 4;
    const bool fits = (shape.size() == 3 || layered) && shape[0] == shape[1] && shape[0] * shape[2] == rows &&
                      (!layered || shape[0] % 2 == 0);
    if (!fits)
        refuse_factor(change, "blocks", found,
                      "square blocks that make up " + std::to_string(rows) + " rows");
    Blocks blocks{layered, layered ? shape[3] : 1, shape[2], shape[0], std::move(found.values)};
    for (int64_t layer = 0; layered && layer < blocks.layers; ++layer)
        if (layer > 40 || rows % (blocks.size << layer) != 0)
            fail(ErrorCode::WeightsInvalid,
                 "\"%.200s\" has %lld layers of butterflies, too many for %lld rows.",
                 change.factors.at("blocks").c_str(), static_cast<long long>(blocks.layers),
                 static_cast<long long>(rows));
    const int64_t n = blocks.size;
    double squares = 0;
    for (int64_t block = 0; block < blocks.layers * blocks.count; ++block) {
        float * q = &blocks.values[static_cast<size_t>(block * n * n)];
        for (int64_t r = 0; r < n; ++r)
            for (int64_t c = 0; c <= r; ++c) {
                const float skew = q[r * n + c] - q[c * n + r];
                q[r * n + c] = skew;
                q[c * n + r] = -skew;
                squares += 2.0 * skew * skew;
            }
    }
    const double norm = std::sqrt(squares);
    if (change.constraint > 0 && norm > change.constraint)
        for (float & value : blocks.values) value *= static_cast<float>(change.constraint / norm);
    in_parallel(threads, blocks.layers * blocks.count, [&](int64_t first, int64_t last) {
        for (int64_t block = first; block < last; ++block)
            solve_cayley(&blocks.values[static_cast<size_t>(block * n * n)], n);
    });
    return blocks;
}

/// Where in the weight the row stands that is row `place` of a layer of butterflies: pairs that lie
/// `distance` apart come together.
int64_t butterfly_row(int64_t place, int64_t distance) {
    const int64_t pair = place % (2 * distance);
    return place - pair + (pair % 2) * distance + pair / 2;
}

}  // namespace

std::vector<float> rotate(const WeightChange & change, const ReadFactor & read, int threads,
                          const DenseTensor & weight) {
    const Blocks blocks = read_blocks(change, read, threads, weight.rows);
    const int64_t n = blocks.size, columns = weight.columns();
    const bool layered = blocks.layered;
    std::vector<float> before, after = weight.values;
    for (int64_t layer = 0; layer < blocks.layers; ++layer) {
        before.swap(after);
        after.assign(before.size(), 0.0f);
        const int64_t distance = (n / 2) << layer;
        const auto row_at = [&](int64_t place) { return layered ? butterfly_row(place, distance) : place; };
        in_parallel(threads, weight.rows, [&](int64_t first, int64_t last) {
            for (int64_t place = first; place < last; ++place) {
                const float * rotation = blocks.at(layer, place / n);
                float * into = &after[static_cast<size_t>(row_at(place) * columns)];
                for (int64_t k = 0; k < n; ++k) {
                    // OFT multiplies with the transposed rotation, BOFT with the rotation itself
                    const float factor = layered ? rotation[place % n * n + k] : rotation[k * n + place % n];
                    const float * from =
                        &before[static_cast<size_t>(row_at(place - place % n + k) * columns)];
                    for (int64_t c = 0; c < columns; ++c) into[c] += factor * from[c];
                }
            }
        });
    }
    const auto rescale = change.factors.find("rescale");
    if (rescale == change.factors.end()) return after;
    const Factor factor = read(rescale->second);
    if (static_cast<int64_t>(factor.values.size()) != weight.rows)
        refuse_factor(change, "rescale", factor, std::to_string(weight.rows) + " values");
    for (int64_t r = 0; r < weight.rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
            after[static_cast<size_t>(r * columns + c)] *= factor.values[static_cast<size_t>(r)];
    return after;
}

}  // namespace imageforge
