#include "core/weight_change.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "core/weight_delta.h"

namespace imageforge {

namespace {

/// The changed weight for a row, from its values and what is added to them.
class Magnitude {
public:
    Magnitude(const WeightChange & change, const ReadFactor & read, int threads, const DenseTensor & weight,
              const RowDelta & delta)
        : axis_(change.axis), taps_(weight.taps), lengths_(read(change.magnitude).values) {
        const int64_t needed = axis_ == Axis::Rows ? weight.rows : weight.inputs;
        if (static_cast<int64_t>(lengths_.size()) != needed)
            fail(ErrorCode::WeightsInvalid,
                 "The LoRA's \"%.200s\" has %zu values, but %lld were expected for the weight \"%.200s\". Is "
                 "the LoRA "
                 "made for another model?",
                 change.magnitude.c_str(), lengths_.size(), static_cast<long long>(needed),
                 change.target.c_str());
        if (axis_ == Axis::Columns) divide_by_columns(change.scale, threads, weight, delta);
    }

    /// `row` becomes as long as it should be.
    void apply(int64_t r, float * row, int64_t columns) const {
        if (axis_ == Axis::Columns) {
            for (int64_t c = 0; c < columns; ++c) row[c] *= lengths_[static_cast<size_t>(c / taps_)];
            return;
        }
        double squares = 0;
        for (int64_t c = 0; c < columns; ++c) squares += static_cast<double>(row[c]) * row[c];
        const auto factor =
            static_cast<float>(lengths_[static_cast<size_t>(r)] / (std::sqrt(squares) + FLT_EPSILON));
        for (int64_t c = 0; c < columns; ++c) row[c] *= factor;
    }

private:
    /// Columns are as long as all rows make them: the lengths become factors.
    void divide_by_columns(float scale, int threads, const DenseTensor & weight, const RowDelta & delta) {
        const int64_t columns = weight.columns();
        std::vector<double> squares(lengths_.size(), 0.0);
        std::mutex mutex;
        in_parallel(threads, weight.rows, [&](int64_t first, int64_t last) {
            std::vector<double> own(lengths_.size(), 0.0);
            std::vector<float> added(static_cast<size_t>(columns));
            for (int64_t r = first; r < last; ++r) {
                const float * row = &weight.values[static_cast<size_t>(r * columns)];
                delta(r, row, added.data());
                for (int64_t c = 0; c < columns; ++c) {
                    const double value = row[c] + scale * added[static_cast<size_t>(c)];
                    own[static_cast<size_t>(c / taps_)] += value * value;
                }
            }
            const std::lock_guard<std::mutex> lock(mutex);
            for (size_t i = 0; i < own.size(); ++i) squares[i] += own[i];
        });
        for (size_t i = 0; i < squares.size(); ++i)
            lengths_[i] = static_cast<float>(lengths_[i] / (std::sqrt(squares[i]) + FLT_EPSILON));
    }

    Axis axis_;
    int64_t taps_;
    std::vector<float> lengths_;
};

/// The part of the target that is the module's own weight, in the module's order.
DenseTensor take_module(const WeightChange & change, const DenseTensor & weight) {
    if (change.transposed) {
        DenseTensor module{weight.inputs, weight.rows, 1, std::vector<float>(weight.values.size())};
        for (int64_t r = 0; r < weight.rows; ++r)
            for (int64_t c = 0; c < weight.inputs; ++c)
                module.values[static_cast<size_t>(c * weight.rows + r)] =
                    weight.values[static_cast<size_t>(r * weight.inputs + c)];
        return module;
    }
    const int64_t rows = change.rows > 0 ? change.rows : weight.rows - change.row, columns = weight.columns();
    if (change.row < 0 || rows <= 0 || rows > weight.rows - change.row)
        fail(ErrorCode::WeightsInvalid, "A LoRA changes the rows %lld + %lld of \"%.200s\", which has %lld.",
             static_cast<long long>(change.row), static_cast<long long>(rows), change.target.c_str(),
             static_cast<long long>(weight.rows));
    const auto begin = weight.values.begin() + change.row * columns;
    DenseTensor module{rows, weight.inputs, weight.taps, {begin, begin + rows * columns}};
    if (change.swapped)
        std::rotate(module.values.begin(), module.values.begin() + rows / 2 * columns, module.values.end());
    return module;
}

void put_module(const WeightChange & change, DenseTensor module, DenseTensor & weight) {
    if (change.transposed) {
        for (int64_t r = 0; r < weight.rows; ++r)
            for (int64_t c = 0; c < weight.inputs; ++c)
                weight.values[static_cast<size_t>(r * weight.inputs + c)] =
                    module.values[static_cast<size_t>(c * weight.rows + r)];
        return;
    }
    if (change.swapped)
        std::rotate(module.values.begin(),
                    module.values.begin() + (module.rows - module.rows / 2) * module.columns(),
                    module.values.end());
    std::copy(module.values.begin(), module.values.end(),
              weight.values.begin() + change.row * weight.columns());
}

RowDelta rotation_delta(const WeightChange & change, const ReadFactor & read, int threads,
                        const DenseTensor & weight) {
    const auto rotated = std::make_shared<std::vector<float>>(rotate(change, read, threads, weight));
    return [rotated, columns = weight.columns()](int64_t r, const float * w, float * delta) {
        const float * row = &(*rotated)[static_cast<size_t>(r * columns)];
        for (int64_t c = 0; c < columns; ++c) delta[c] = row[c] - w[c];
    };
}

}  // namespace

void apply_change(const WeightChange & change, const ReadFactor & read, float strength, int threads,
                  DenseTensor & weight) {
    DenseTensor module = take_module(change, weight);
    const RowDelta delta = change.kind == ChangeKind::Rotation ? rotation_delta(change, read, threads, module)
                                                               : make_row_delta(change, read, module);
    std::unique_ptr<Magnitude> magnitude;
    if (!change.magnitude.empty())
        magnitude = std::make_unique<Magnitude>(change, read, threads, module, delta);
    const int64_t columns = module.columns();
    in_parallel(threads, module.rows, [&](int64_t first, int64_t last) {
        std::vector<float> row(static_cast<size_t>(columns));
        for (int64_t r = first; r < last; ++r) {
            float * values = &module.values[static_cast<size_t>(r * columns)];
            delta(r, values, row.data());
            for (int64_t c = 0; c < columns; ++c) row[c] = values[c] + change.scale * row[c];
            if (magnitude) magnitude->apply(r, row.data(), columns);
            for (int64_t c = 0; c < columns; ++c) values[c] += strength * (row[c] - values[c]);
        }
    });
    put_module(change, std::move(module), weight);
}

}  // namespace imageforge
