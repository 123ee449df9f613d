// One tensor as it lies in the mapped files: in one piece or several, perhaps in a form that is widened.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/scale_table.h"
#include "core/storage_type.h"
#include "core/weights.h"

namespace imageforge {

/// Consecutive rows of a tensor. A row is what belongs to one output; a vector is one row.
struct Piece {
    const MappedFile * file;
    uint64_t offset;
    uint64_t bytes;
    StorageType storage;
    uint64_t rows, columns;
    uint64_t skip;  // values of the first block that belong to what lies before
    bool flat;      // blocks run on from row to row
    float scale;
    std::optional<ScaleTable> scales;
    uint64_t rotation;

    const uint8_t * data() const { return file->data() + offset; }
    /// True when its bytes are its values.
    bool is_plain() const { return storage.encoding == Encoding::Ggml && !flat && !is_scaled(); }
    bool is_scaled() const { return scale != 1 || scales || rotation > 0; }
    /// Rows [first, first + count) as F32.
    void read(uint64_t first, uint64_t count, float * into) const;
    /// What each byte becomes in F16, where a value is a byte and has no factor but the piece's; else empty.
    std::vector<ggml_fp16_t> tabulate() const;
};

/// Where a network's tensor has its bytes.
enum class Residence {
    Own,       // in a buffer of the store
    Mapped,    // in the file, where they are used
    Streamed,  // in the file, from where they are brought when they are needed
    Replaced,  // elsewhere: other values are used in their place
};

struct StoredTensor {
    std::string type;           // as the file calls it, of the first piece
    ggml_type memory;           // what its values are in memory, where it isn't a vector
    bool weights;               // false: integers, which no layer takes
    Shape shape;                // of the whole, as it lies in the file
    std::vector<Piece> pieces;  // one behind the other
    bool composed;
    bool taps_first;
    Tensor declared = nullptr;  // what the network sees of it
    Residence residence = Residence::Own;
    bool updatable = false;  // its layer adds low-rank updates

    /// Throws WEIGHTS_INVALID where the entry contradicts itself or the file. `scales`: the file of its scale
    /// table, where it has one.
    StoredTensor(const TensorEntry & entry, const MappedFile & file, const MappedFile * scales);
    /// Adds the rows of `next` behind those that are there; a part that doesn't follow or doesn't fit is
    /// refused.
    void append(const StoredTensor & next, const TensorEntry & entry);

    /// True when the bytes of the file can be used where they lie.
    bool usable_in_place() const;
    /// Copies all of it to where the declared tensor lies, on up to so many threads.
    void upload(int threads) const;
    /// All values, in PyTorch's order, whatever the type; on up to so many threads.
    std::vector<float> read_all(int threads) const;
    /// One row, whatever its type.
    std::vector<float> read_row(uint64_t row) const;
    /// Rows [first, first + count) on up to so many threads; `count` times the columns of a row.
    std::vector<float> read_rows(uint64_t first, uint64_t count, int threads) const;
    uint64_t rows() const;

private:
    bool copies(const Piece & piece) const {
        return piece.is_plain() && piece.storage.type == declared->type;
    }
    void widen(const Piece & piece, uint64_t done, int threads) const;
};

}  // namespace imageforge
