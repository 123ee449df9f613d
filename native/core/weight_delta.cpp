#include "core/weight_delta.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>

#include "core/error.h"
#include "core/weights.h"

namespace imageforge {

namespace {

int64_t count_of(const std::vector<int64_t> & shape) {
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    return count;
}

/// The first dimension in PyTorch's words; everything else is columns.
int64_t rows_of(const Factor & factor) { return factor.shape.empty() ? 1 : factor.shape.back(); }

/// y += factor * x
void add_scaled(float factor, const float * x, float * y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) y[i] += factor * x[i];
}

Factor transpose(const Factor & factor) {
    const int64_t rows = rows_of(factor), columns = count_of(factor.shape) / rows;
    Factor result{{rows, columns}, std::vector<float>(factor.values.size())};
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c) result.values[c * rows + r] = factor.values[r * columns + c];
    return result;
}

/// A matrix that is there as two factors, or whole: then `a` is empty.
struct Product {
    Factor a, b;
    int64_t rows, columns;

    void row(int64_t r, float * into) const {
        const float * values = b.values.data();
        if (a.values.empty()) {
            std::memcpy(into, values + r * columns, static_cast<size_t>(columns) * sizeof(float));
            return;
        }
        const int64_t rank = rows_of(b);
        std::fill(into, into + columns, 0.0f);
        for (int64_t k = 0; k < rank; ++k)
            add_scaled(a.values[r * rank + k], values + k * columns, into, columns);
    }
};

/// Multiplies a Tucker core [rank a, rank b, taps] into b [rank b, inputs]: [rank a, inputs, taps].
Factor fold_core(const WeightChange & change, const std::string & part, const Factor & core,
                 const Factor & b) {
    const int64_t rank_a = rows_of(core), rank_b = rows_of(b), inputs = count_of(b.shape) / rank_b;
    const bool fits = core.shape.size() >= 2 && core.shape[core.shape.size() - 2] == rank_b;
    if (!fits) refuse_factor(change, part, core, "[rank, " + std::to_string(rank_b) + ", kernel]");
    const int64_t taps = count_of(core.shape) / (rank_a * rank_b);
    Factor folded{{inputs * taps, rank_a}, std::vector<float>(static_cast<size_t>(rank_a * inputs * taps))};
    for (int64_t i = 0; i < rank_a; ++i)
        for (int64_t j = 0; j < rank_b; ++j)
            for (int64_t c = 0; c < inputs; ++c)
                add_scaled(b.values[j * inputs + c], &core.values[(i * rank_b + j) * taps],
                           &folded.values[(i * inputs + c) * taps], taps);
    return folded;
}

/// The product whose parts are called a, at (transposed), b and core, followed by `which`. Shapes are checked
/// among each other, not against the weight.
Product read_product(const WeightChange & change, const ReadFactor & read, const std::string & which) {
    const auto find = [&](const std::string & part) { return change.factors.find(part + which); };
    const auto none = change.factors.end();
    const auto a = find("a"), at = find("at"), b = find("b"), core = find("core");
    if (a == none && at == none)
        fail(ErrorCode::Internal, "A change of \"%.200s\" lacks its part \"a%s\".", change.target.c_str(),
             which.c_str());
    Product product;
    Factor left = a != none ? read(a->second) : transpose(read(at->second));
    if (b == none) {
        product.b = std::move(left);
        product.rows = rows_of(product.b);
    } else {
        product.b = read(b->second);
        if (core != none) product.b = fold_core(change, "core" + which, read(core->second), product.b);
        product.rows = rows_of(left);
        if (count_of(left.shape) != product.rows * rows_of(product.b))
            refuse_factor(change, "b" + which, product.b,
                          std::to_string(count_of(left.shape) / product.rows) + " rows");
        product.a = std::move(left);
    }
    product.columns = count_of(product.b.shape) / rows_of(product.b);
    return product;
}

void require(const WeightChange & change, const std::string & part, const Product & product, int64_t rows,
             int64_t columns) {
    if (product.rows == rows && product.columns == columns) return;
    const Factor found{{product.columns, product.rows}, {}};
    refuse_factor(change, part, found, "[" + std::to_string(rows) + ", " + std::to_string(columns) + "]");
}

RowDelta add_product(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight) {
    const auto product = std::make_shared<Product>(read_product(change, read, ""));
    require(change, "a", *product, weight.rows, weight.columns());
    return [product](int64_t r, const float *, float * delta) { product->row(r, delta); };
}

RowDelta add_hadamard(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight) {
    const auto first = std::make_shared<Product>(read_product(change, read, "1"));
    const auto second = std::make_shared<Product>(read_product(change, read, "2"));
    require(change, "a1", *first, weight.rows, weight.columns());
    require(change, "a2", *second, weight.rows, weight.columns());
    return [first, second, columns = weight.columns()](int64_t r, const float *, float * delta) {
        std::vector<float> other(static_cast<size_t>(columns));
        first->row(r, delta);
        second->row(r, other.data());
        for (int64_t c = 0; c < columns; ++c) delta[c] *= other[c];
    };
}

RowDelta add_kronecker(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight) {
    const auto first = std::make_shared<Product>(read_product(change, read, "1"));
    const auto second = std::make_shared<Product>(read_product(change, read, "2"));
    if (first->rows * second->rows != weight.rows || first->columns * second->columns != weight.columns())
        require(change, "a2", *second, weight.rows / std::max<int64_t>(1, first->rows),
                weight.columns() / std::max<int64_t>(1, first->columns));
    return [first, second](int64_t r, const float *, float * delta) {
        std::vector<float> outer(static_cast<size_t>(first->columns)),
            inner(static_cast<size_t>(second->columns));
        first->row(r / second->rows, outer.data());
        second->row(r % second->rows, inner.data());
        for (size_t i = 0; i < outer.size(); ++i)
            for (size_t j = 0; j < inner.size(); ++j) delta[i * inner.size() + j] = outer[i] * inner[j];
    };
}

/// a1 [inputs, rank] and a2 [rank, inputs] work on the weight's inputs, tap by tap; b1 b2 is added.
RowDelta add_generalised(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight) {
    const auto a1 = std::make_shared<Factor>(read(change.factors.at("a1")));
    const auto a2 = std::make_shared<Factor>(read(change.factors.at("a2")));
    const int64_t rank = rows_of(*a2), inputs = weight.inputs, taps = weight.taps;
    if (count_of(a1->shape) != inputs * rank || rows_of(*a1) != inputs)
        refuse_factor(change, "a1", *a1, "[" + std::to_string(inputs) + ", " + std::to_string(rank) + "]");
    if (count_of(a2->shape) != inputs * rank)
        refuse_factor(change, "a2", *a2, "[" + std::to_string(rank) + ", " + std::to_string(inputs) + "]");
    WeightChange added = change;
    added.factors = {{"a", change.factors.at("b1")}, {"b", change.factors.at("b2")}};
    const auto core = change.factors.find("core");
    if (core != change.factors.end()) added.factors.insert(*core);
    const RowDelta product = add_product(added, read, weight);
    return [=](int64_t r, const float * w, float * delta) {
        product(r, w, delta);
        std::vector<float> inner(static_cast<size_t>(rank * taps), 0.0f);
        for (int64_t i = 0; i < inputs; ++i)
            for (int64_t k = 0; k < rank; ++k)
                add_scaled(a1->values[i * rank + k], w + i * taps, &inner[k * taps], taps);
        for (int64_t k = 0; k < rank; ++k)
            for (int64_t i = 0; i < inputs; ++i)
                add_scaled(a2->values[k * inputs + i], &inner[k * taps], delta + i * taps, taps);
    };
}

RowDelta add_scaling(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight) {
    const auto vector = std::make_shared<Factor>(read(change.factors.at("a")));
    const int64_t needed = change.axis == Axis::Rows ? weight.rows : weight.inputs;
    if (count_of(vector->shape) != needed)
        refuse_factor(change, "a", *vector, std::to_string(needed) + " values");
    return [vector, axis = change.axis, inputs = weight.inputs, taps = weight.taps](
               int64_t r, const float * w, float * delta) {
        for (int64_t i = 0; i < inputs; ++i)
            for (int64_t t = 0; t < taps; ++t)
                delta[i * taps + t] = w[i * taps + t] * vector->values[axis == Axis::Rows ? r : i];
    };
}

RowDelta take_value(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight) {
    const RowDelta value = add_product(change, read, weight);
    return [value, columns = weight.columns()](int64_t r, const float * w, float * delta) {
        value(r, w, delta);
        for (int64_t c = 0; c < columns; ++c) delta[c] -= w[c];
    };
}

}  // namespace

RowDelta make_row_delta(const WeightChange & change, const ReadFactor & read, const DenseTensor & weight) {
    switch (change.kind) {
        case ChangeKind::Product:
            return add_product(change, read, weight);
        case ChangeKind::Hadamard:
            return add_hadamard(change, read, weight);
        case ChangeKind::Kronecker:
            return add_kronecker(change, read, weight);
        case ChangeKind::Generalised:
            return add_generalised(change, read, weight);
        case ChangeKind::Scaling:
            return add_scaling(change, read, weight);
        case ChangeKind::Value:
            return take_value(change, read, weight);
        case ChangeKind::Rotation:
            break;
    }
    fail(ErrorCode::Internal, "A rotation of \"%.200s\" has no rows to add.", change.target.c_str());
}

void in_parallel(int threads, int64_t count, const std::function<void(int64_t, int64_t)> & work) {
    const int64_t parts = std::clamp<int64_t>(threads, 1, std::max<int64_t>(1, count));
    std::vector<std::thread> workers;
    for (int64_t i = 1; i < parts; ++i)
        workers.emplace_back([&, i] { work(count * i / parts, count * (i + 1) / parts); });
    work(0, count / parts);
    for (std::thread & worker : workers) worker.join();
}

void refuse_factor(const WeightChange & change, const std::string & part, const Factor & found,
                   const std::string & expected) {
    const auto name = change.factors.find(part);
    const std::vector<int64_t> reversed(found.shape.rbegin(), found.shape.rend());
    fail(ErrorCode::WeightsInvalid,
         "The LoRA's \"%.200s\" is %s, but %s was expected for the weight \"%.200s\". Is the LoRA made for "
         "another "
         "model?",
         name == change.factors.end() ? part.c_str() : name->second.c_str(), to_string(reversed).c_str(),
         expected.c_str(), change.target.c_str());
}

}  // namespace imageforge
