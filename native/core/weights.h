// Weights: files mapped into memory, a tensor table that TypeScript has read from their headers, and the
// tensors that a network declares from it. Every offset, size, type and shape is checked against the mapped
// file before use.
#pragma once
#include <ggml-alloc.h>
#include <ggml.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imageforge {

using Tensor = ggml_tensor *;
using Shape = std::vector<int64_t>;  // ggml order, fastest dimension first: [W, H, C, N], [in, out]

/// "[64, 64, 4]", for messages.
std::string to_string(const Shape & shape);

/// Where the factors of a matrix lie, one for each block of it.
struct ScaleEntry {
    uint32_t file = 0;                           // index into WeightTable::files
    uint64_t offset = 0;                         // bytes from the start of the file
    std::string type;                            // a floating-point type, or "f8_e8m0"
    uint64_t rows = 0, columns = 0;              // of the table
    uint64_t block_rows = 1, block_columns = 1;  // values that one factor is for
    bool tiled = false;      // the table lies in tiles of 128 x 4, as tensor cores read it
    uint64_t first_row = 0;  // of the matrix that the table is for: where this tensor begins in it
};

/// One row of the tensor table.
struct TensorEntry {
    std::string name;     // the network's own name, e.g. "input_blocks.1.0.in_layers.2.weight"
    uint32_t file = 0;    // index into WeightTable::files
    uint64_t offset = 0;  // bytes from the start of the file
    std::string
        type;  // "f32", "f16", "bf16", "f8_e4m3", "q8_0", "q4_k", … lower case, ggml's names where it has one
    Shape shape;      // ggml order
    float scale = 1;  // every value is multiplied by this
    int64_t first_row =
        -1;  // from 0 on: entries of one name make up one tensor, and this one's rows begin here
    bool taps_first = false;                // a kernel [kw, kh, in, out] that lies as [in, kw·kh, out]
    std::optional<ScaleEntry> scales = {};  // and each block by its factor
    uint64_t rotation = 0;                  // ConvRot: groups of so many values of a row are rotated
    bool flat = false;                      // blocks run on from row to row
    uint64_t skip = 0;                      // flat: values of the first block that belong to what lies before
};

struct WeightTable {
    std::vector<std::string> files;
    std::vector<TensorEntry> tensors;
};

class Device;
class WeightStore;

/// Picks a share of a sequence, spread evenly over it.
class EvenShare {
public:
    explicit EvenShare(double share) : share_(share) {}
    bool takes(uint64_t bytes) {
        room_ += share_ * static_cast<double>(bytes);
        if (static_cast<double>(bytes) > room_) return false;
        room_ -= static_cast<double>(bytes);
        return true;
    }

private:
    double share_, room_ = 0;
};

/// A place in the table. Layers declare their tensors through it: constructing a layer is loading it.
/// Copying is cheap. Declared tensors have no data until WeightStore::load().
class Weights {
public:
    Weights(WeightStore * store, std::string prefix) : store_(store), prefix_(std::move(prefix)) {}

    /// Goes down one level: (w / "encoder" / 3) looks up "encoder.3.…".
    Weights operator/(const std::string & part) const;
    Weights operator/(int index) const { return *this / std::to_string(index); }

    /// True when the table has `name` here (a full leaf such as "weight").
    bool has(const std::string & name) const;
    /// True when the table has `name` here as a kernel with its channels fastest: [in, kw·kh, out].
    bool taps_first(const std::string & name) const;

    /// Declares a tensor of exactly this shape. Throws WEIGHTS_INVALID naming tensor, expected and found
    /// shape. One-dimensional tensors (biases, norms, statistics) are always F32: converted on load where the
    /// file has another type. All others keep the file's type.
    Tensor get(const std::string & name, const Shape & shape) const;
    /// The same, for a layer that adds low-rank updates to what it computes with the tensor.
    Tensor get_updatable(const std::string & name, const Shape & shape) const;
    /// The same as get(), or nullptr when the table doesn't have it.
    Tensor find(const std::string & name, const Shape & shape) const;

    const std::string & prefix() const { return prefix_; }

private:
    WeightStore * store_;
    std::string prefix_;
};

/// Owns the mapped files and the declared tensors of one network.
class WeightStore {
public:
    /// Maps the files and checks the whole table (overflow-safe) before anything is read.
    WeightStore(Device & device, WeightTable table);
    ~WeightStore();
    WeightStore(const WeightStore &) = delete;

    Weights root() { return Weights(this, ""); }

    /// Gives every declared tensor its data: the mapped bytes in place on CPU where alignment and type allow,
    /// else converted (f8, f64 …) or copied to the device. Call once, after the network is constructed.
    /// With `keep` the network will be streamed: of the matrices that can't be used in place, only this share
    /// (0 … 1) gets memory. The others stay in their files until they are needed.
    void load(std::optional<double> keep = {});

    /// Throws WEIGHTS_UNREADABLE when a mapped file has shrunk; call it before each run.
    void check_files() const;

    /// True when the tensor's bytes are used where they lie in a mapped file.
    bool is_mapped(const ggml_tensor * tensor) const;
    /// True when load() has left the tensor in its file.
    bool is_streamed(const ggml_tensor * tensor) const;
    /// Loads a streamed tensor at the next free place, wherever it was before.
    void bring(Tensor tensor, ggml_tallocr & place) const;
    /// Takes the tensor's place away again.
    void send_back(Tensor tensor) const;
    /// A row of a streamed matrix, in memory or not.
    std::vector<float> read_row(const ggml_tensor * table, int64_t row) const;

    /// Advises the system about the pages of mapped and streamed weights (see PageAdvice). Other tensors are
    /// ignored.
    void prefetch(const ggml_tensor * tensor) const;
    void give_back(const ggml_tensor * tensor) const;
    void drop(const ggml_tensor * tensor) const;
    /// The pages of all files.
    void give_back() const;

    /// The shape of a tensor in the table; WEIGHTS_INVALID when it has none of this name.
    Shape shape(const std::string & name) const;
    /// The declared tensor of this full name, or nullptr.
    Tensor declared(const std::string & name) const;
    /// True when the layer that has the tensor adds low-rank updates itself: see Weights::get_updatable().
    bool is_updatable(const ggml_tensor * tensor) const;
    /// All values of a row of the table, in F32 and in PyTorch's order, whatever its type; and its file.
    std::vector<float> read(const std::string & name) const;
    const std::string & file_of(const std::string & name) const;
    /// True when the table has the row as a kernel with its channels fastest.
    bool taps_first(const std::string & name) const;

    /// Other values in the place of a declared tensor, which gets their shape, type and address until
    /// restore(). They live as long as that, and no graph that was built before is computed again.
    void replace(Tensor tensor, const ggml_tensor * by) const;
    /// All tensors are as the files have them.
    void restore() const;

    uint64_t bytes_mapped() const;     // bytes used in place
    uint64_t bytes_allocated() const;  // bytes in buffers of our own (host or device)

    struct Impl;

private:
    friend class Weights;
    std::unique_ptr<Impl> impl_;
};

}  // namespace imageforge
