// Changes of one weight that are computed from the weight itself. Each kind gives the weight W another value
// W'; at strength s the result is W + s (W' - W).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace imageforge {

/// A tensor in F32, in PyTorch's order: [rows, inputs, taps]. A vector has as many rows as values.
struct DenseTensor {
    int64_t rows = 0, inputs = 1, taps = 1;
    std::vector<float> values;

    int64_t columns() const { return inputs * taps; }
};

enum class ChangeKind {
    Product,      // W + a b (LoRA), W + a core b (Tucker), W + a (a difference)
    Hadamard,     // W + product 1 times product 2, value by value (LoHa)
    Kronecker,    // W + product 1 ⊗ product 2 (LoKr)
    Generalised,  // W + W a1 a2 + b1 b2 (GLoRA)
    Rotation,     // R W, R of orthogonal blocks (OFT) or butterflies of them (BOFT)
    Scaling,      // W + W times a vector along its rows or columns (IA3)
    Value,        // the new weight itself
};

enum class Axis { Rows, Columns };

struct WeightChange {
    std::string target;  // the network's tensor
    ChangeKind kind = ChangeKind::Product;
    /// Names of the LoRA's tensors by the part they play: a, b, core; a1, b1, a2 …; blocks, rescale.
    std::map<std::string, std::string> factors;
    float scale = 1;
    /// The module is a part of the target: these rows. 0 rows: all of it.
    int64_t row = 0, rows = 0;
    bool swapped = false;     // the module's two halves stand in the other order
    bool transposed = false;  // the target holds the module's matrix transposed
    /// DoRA: what the rows or columns of the changed weight are long.
    std::string magnitude;
    Axis axis = Axis::Columns;  // of the magnitude, or of the scaling
    float constraint = 0;       // of a rotation, 0: none
};

/// A tensor of the LoRA by its name, finite, in F32; `shape` is in ggml's order.
struct Factor {
    std::vector<int64_t> shape;
    std::vector<float> values;
};
using ReadFactor = std::function<Factor(const std::string & name)>;

/// Changes `weight`. Throws WEIGHTS_INVALID naming the factors where they don't fit.
void apply_change(const WeightChange & change, const ReadFactor & read, float strength, int threads,
                  DenseTensor & weight);

}  // namespace imageforge
